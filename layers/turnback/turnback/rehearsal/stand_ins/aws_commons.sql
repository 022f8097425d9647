-- aws_commons: the addresses of objects, functions and credentials, as aws_s3 and aws_lambda take
-- them.
-- control: comment = 'stand-in of turnback: aws_commons'
-- control: relocatable = false
-- versions: 1.0 1.1 1.2

CREATE SCHEMA aws_commons;
GRANT USAGE ON SCHEMA aws_commons TO PUBLIC;
CREATE TYPE aws_commons._s3_uri_1 AS (bucket text, file_path text, region text);
CREATE TYPE aws_commons._lambda_function_arn_1 AS (function_name text, region text);
CREATE TYPE aws_commons._aws_credentials_1 AS (access_key text, secret_key text, session_token text);
CREATE FUNCTION aws_commons.create_s3_uri(s3_bucket text, s3_key text, aws_region text DEFAULT NULL)
RETURNS aws_commons._s3_uri_1 LANGUAGE sql IMMUTABLE
    AS 'SELECT ROW($1, $2, $3)::aws_commons._s3_uri_1';
CREATE FUNCTION aws_commons.create_lambda_function_arn(function_name text, region text DEFAULT NULL)
RETURNS aws_commons._lambda_function_arn_1 LANGUAGE sql IMMUTABLE
    AS 'SELECT ROW($1, $2)::aws_commons._lambda_function_arn_1';
CREATE FUNCTION aws_commons.create_aws_credentials(
    access_key text, secret_key text, session_token text DEFAULT NULL
) RETURNS aws_commons._aws_credentials_1 LANGUAGE sql IMMUTABLE
    AS 'SELECT ROW($1, $2, $3)::aws_commons._aws_credentials_1';
