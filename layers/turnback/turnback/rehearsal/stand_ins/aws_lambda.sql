-- aws_lambda: no function is called.
-- control: comment = 'stand-in of turnback: aws_lambda'
-- control: relocatable = false
-- control: requires = 'aws_commons'
-- versions: 1.0

CREATE SCHEMA aws_lambda;
GRANT USAGE ON SCHEMA aws_lambda TO PUBLIC;
DO $make$
DECLARE
    kind text;
    called text;
BEGIN
    FOREACH kind IN ARRAY '{json,jsonb}'::text[] LOOP
        FOREACH called IN ARRAY ARRAY[
            'function_name aws_commons._lambda_function_arn_1, payload %1$s',
            'function_name text, payload %1$s, region text DEFAULT NULL'
        ] LOOP
            EXECUTE pg_catalog.format(
                'CREATE FUNCTION aws_lambda.invoke(' || called || ', '
                'invocation_type text DEFAULT ''RequestResponse'', log_type text DEFAULT ''None'', '
                'context %1$s DEFAULT NULL, qualifier varchar DEFAULT NULL, '
                'OUT status_code integer, OUT payload %1$s, OUT executed_version text, '
                'OUT log_result text) LANGUAGE sql AS '
                '''SELECT 200, NULL::pg_catalog.%1$s, NULL::pg_catalog.text, NULL::pg_catalog.text''',
                kind);
        END LOOP;
    END LOOP;
END $make$;
