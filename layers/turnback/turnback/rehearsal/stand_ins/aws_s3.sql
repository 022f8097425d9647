-- aws_s3: nothing is read from S3 or written to it.
-- control: comment = 'stand-in of turnback: aws_s3'
-- control: relocatable = false
-- control: requires = 'aws_commons'
-- versions: 1.0 1.1 1.2

CREATE SCHEMA aws_s3;
GRANT USAGE ON SCHEMA aws_s3 TO PUBLIC;
CREATE FUNCTION aws_s3.table_import_from_s3(
    table_name text, column_list text, options text, bucket text, file_path text, region text,
    access_key text DEFAULT NULL, secret_key text DEFAULT NULL, session_token text DEFAULT NULL
) RETURNS text LANGUAGE sql AS 'SELECT $1 || '': no rows, this is a stand-in''';
CREATE FUNCTION aws_s3.table_import_from_s3(
    table_name text, column_list text, options text, s3_info aws_commons._s3_uri_1,
    credentials aws_commons._aws_credentials_1 DEFAULT NULL
) RETURNS text LANGUAGE sql AS 'SELECT $1 || '': no rows, this is a stand-in''';
CREATE FUNCTION aws_s3.query_export_to_s3(
    query text, s3_info aws_commons._s3_uri_1, kms_key text DEFAULT NULL, options text DEFAULT NULL,
    OUT rows_uploaded bigint, OUT files_uploaded bigint, OUT bytes_uploaded bigint
) LANGUAGE sql AS 'SELECT 0::pg_catalog.int8, 0::pg_catalog.int8, 0::pg_catalog.int8';
CREATE FUNCTION aws_s3.query_export_to_s3(
    query text, bucket text, file_path text, region text DEFAULT NULL, kms_key text DEFAULT NULL,
    options text DEFAULT NULL,
    OUT rows_uploaded bigint, OUT files_uploaded bigint, OUT bytes_uploaded bigint
) LANGUAGE sql AS 'SELECT 0::pg_catalog.int8, 0::pg_catalog.int8, 0::pg_catalog.int8';
