-- The types, functions, operators and operator classes of PostGIS, as its manual describes them. A
-- geometry is the text that it was made from; nothing is parsed, and nothing is computed.
-- control: comment = 'stand-in of turnback: postgis'
-- control: relocatable = false
-- versions: 2.5.5 3.0.0 3.0.2 3.1.4 3.1.5 3.1.7 3.2.3 3.3.2 3.3.3 3.4.0 3.4.1 3.4.2 3.4.3 3.5.0 3.5.1 3.6.0

CREATE TYPE geometry;
CREATE TYPE geography;
CREATE TYPE box2d;
CREATE TYPE box3d;

-- Functions of the server under other signatures: these types are stored like text. They can have
-- collations because SP-GiST asks for one.
DO $make$
DECLARE
    kind text;
    one record;
BEGIN
    FOREACH kind IN ARRAY '{geometry,geography,box2d,box3d}'::text[] LOOP
        FOR one IN SELECT * FROM (VALUES
            ('in(cstring)', kind, 'textin'), ('out(%s)', 'cstring', 'textout'),
            ('recv(internal)', kind, 'textrecv'), ('send(%s)', 'bytea', 'textsend')
        ) AS made (signature, result, function) LOOP
            EXECUTE pg_catalog.format(
                'CREATE FUNCTION %s_' || one.signature || ' RETURNS %s LANGUAGE internal IMMUTABLE '
                'STRICT PARALLEL SAFE AS %L',
                VARIADIC CASE WHEN one.signature ~ '%s' THEN ARRAY[kind, kind, one.result, one.function]
                ELSE ARRAY[kind, one.result, one.function] END);
        END LOOP;
        EXECUTE pg_catalog.format(
            'CREATE TYPE %1$s (INTERNALLENGTH = VARIABLE, INPUT = %1$s_in, OUTPUT = %1$s_out, '
            'RECEIVE = %1$s_recv, SEND = %1$s_send, STORAGE = main, DELIMITER = %2$L, '
            'COLLATABLE = true)',
            kind, CASE WHEN kind ~ '^geo' THEN ':' ELSE ',' END);
    END LOOP;
END $make$;
CREATE TYPE geometry_dump AS (path integer[], geom geometry);
CREATE TYPE valid_detail AS (valid boolean, reason varchar, location geometry);

-- A modifier such as (PointZ,4326): the number of the kind and of the reference system. CREATE TYPE
-- takes only functions of cstring for it. An array of cstring is read by array_to_string as one of
-- text, and a name is stored as a cstring is.
CREATE FUNCTION postgis_stand_in_kinds() RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT '{Geometry,Point,LineString,Polygon,MultiPoint,MultiLineString,MultiPolygon,
        GeometryCollection,CircularString,CompoundCurve,CurvePolygon,MultiCurve,MultiSurface,
        PolyhedralSurface,Triangle,Tin}'::pg_catalog.text[]
$$;
CREATE FUNCTION postgis_stand_in_typmod(modifier text[]) RETURNS integer
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    parts text[] := pg_catalog.string_to_array(pg_catalog.array_to_string(modifier, ','), ',');
    kind text := pg_catalog.lower(pg_catalog.btrim(parts[1]));
    plain text := pg_catalog.regexp_replace(kind, 'z?m?$', '');
    number integer;
BEGIN
    SELECT place - 1 INTO number
    FROM pg_catalog.unnest(@extschema@.postgis_stand_in_kinds()) WITH ORDINALITY found (name, place)
    WHERE pg_catalog.lower(name) IN (plain, kind) ORDER BY pg_catalog.lower(name) = kind DESC LIMIT 1;
    IF number IS NULL THEN
        RAISE invalid_parameter_value USING MESSAGE =
            pg_catalog.format('Invalid geometry type modifier: %s', parts[1]);
    END IF;
    RETURN COALESCE(parts[2], '0')::integer * 256 + number * 4
        + CASE WHEN kind ~ 'zm?$' THEN 2 ELSE 0 END
        + CASE WHEN kind ~ 'm$' THEN 1 ELSE 0 END;
END $$;
CREATE FUNCTION postgis_typmod_srid(integer) RETURNS integer LANGUAGE sql IMMUTABLE STRICT
    PARALLEL SAFE AS 'SELECT CASE WHEN $1 < 0 THEN 0 ELSE $1 / 256 END';
CREATE FUNCTION postgis_typmod_dims(integer) RETURNS integer LANGUAGE sql IMMUTABLE STRICT
    PARALLEL SAFE AS 'SELECT CASE WHEN $1 < 0 THEN NULL ELSE 2 + ($1 & 1) + ($1 >> 1 & 1) END';
CREATE FUNCTION postgis_typmod_type(integer) RETURNS text LANGUAGE sql IMMUTABLE STRICT
    PARALLEL SAFE AS $$
    SELECT CASE WHEN $1 < 0 THEN 'Geometry' ELSE
        (@extschema@.postgis_stand_in_kinds())[($1 & 255) / 4 + 1]
        || CASE WHEN $1 & 2 > 0 THEN 'Z' ELSE '' END || CASE WHEN $1 & 1 > 0 THEN 'M' ELSE '' END END
$$;
CREATE FUNCTION postgis_stand_in_modifier(typmod integer) RETURNS name
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN '(' || @extschema@.postgis_typmod_type(typmod)
        || CASE WHEN typmod < 256 THEN '' ELSE ',' || typmod / 256 END || ')';
END $$;
UPDATE pg_catalog.pg_type
SET typmodin = '@extschema@.postgis_stand_in_typmod'::pg_catalog.regproc,
    typmodout = '@extschema@.postgis_stand_in_modifier'::pg_catalog.regproc
WHERE oid IN ('@extschema@.geometry'::pg_catalog.regtype, '@extschema@.geography'::pg_catalog.regtype,
    '@extschema@.geometry[]'::pg_catalog.regtype, '@extschema@.geography[]'::pg_catalog.regtype);

CREATE CAST (text AS geometry) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (geometry AS text) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (bytea AS geometry) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (geometry AS bytea) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (geometry AS geography) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (geography AS geometry) WITHOUT FUNCTION;
CREATE CAST (bytea AS geography) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (geography AS bytea) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (geometry AS box2d) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (geometry AS box3d) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (box2d AS geometry) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (box3d AS geometry) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (box3d AS box2d) WITHOUT FUNCTION AS IMPLICIT;
CREATE FUNCTION geometry(geometry, integer, boolean) RETURNS geometry LANGUAGE sql IMMUTABLE STRICT
    PARALLEL SAFE AS 'SELECT $1';
CREATE FUNCTION geography(geography, integer, boolean) RETURNS geography LANGUAGE sql IMMUTABLE STRICT
    PARALLEL SAFE AS 'SELECT $1';
CREATE CAST (geometry AS geometry) WITH FUNCTION geometry(geometry, integer, boolean) AS IMPLICIT;
CREATE CAST (geography AS geography) WITH FUNCTION geography(geography, integer, boolean) AS IMPLICIT;

-- Operators compare the bytes; the operator classes are those of bytea, of the server and of
-- btree_gist, whose library is called without its extension. An index finds nothing by place.
DO $make$
DECLARE
    kind text;
    one record;
BEGIN
    FOREACH kind IN ARRAY '{geometry,geography}'::text[] LOOP
        EXECUTE pg_catalog.format($f$
            CREATE FUNCTION %1$s_cmp(%1$s, %1$s) RETURNS integer LANGUAGE internal IMMUTABLE STRICT
                PARALLEL SAFE AS 'byteacmp';
            CREATE FUNCTION %1$s_hash(%1$s) RETURNS integer LANGUAGE internal IMMUTABLE STRICT
                PARALLEL SAFE AS 'hashvarlena';
        $f$, kind);
        FOR one IN SELECT * FROM (VALUES
            ('<', 'lt', 'bytealt', '>'), ('<=', 'le', 'byteale', '>='), ('=', 'eq', 'byteaeq', '='),
            ('>=', 'ge', 'byteage', '<='), ('>', 'gt', 'byteagt', '<'),
            ('&&', 'overlaps', 'byteaeq', '&&'), ('~=', 'same', 'byteaeq', '~='),
            ('@', 'within', 'byteaeq', '~'), ('~', 'contains', 'byteaeq', '@'),
            ('<<', 'left', 'bytealt', '>>'), ('>>', 'right', 'byteagt', '<<'),
            ('&<', 'overleft', 'byteale', '&>'), ('&>', 'overright', 'byteage', '&<'),
            ('<<|', 'below', 'bytealt', '|>>'), ('|>>', 'above', 'byteagt', '<<|'),
            ('&<|', 'overbelow', 'byteale', '|&>'), ('|&>', 'overabove', 'byteage', '&<|'),
            ('&&&', 'overlaps_nd', 'byteaeq', '&&&'), ('~~=', 'same_nd', 'byteaeq', '~~='),
            ('@@', 'within_nd', 'byteaeq', '~~'), ('~~', 'contains_nd', 'byteaeq', '@@')
        ) AS made (operator, name, function, commutator) LOOP
            EXECUTE pg_catalog.format($f$
                CREATE FUNCTION %1$s_%2$s(%1$s, %1$s) RETURNS boolean LANGUAGE internal IMMUTABLE
                    STRICT PARALLEL SAFE AS %3$L;
                CREATE OPERATOR %4$s (LEFTARG = %1$s, RIGHTARG = %1$s, FUNCTION = %1$s_%2$s,
                    COMMUTATOR = %5$s);
            $f$, kind, one.name, one.function, one.operator, one.commutator);
        END LOOP;
        FOR one IN SELECT * FROM (VALUES ('<->', 'centroid'), ('<#>', 'box'), ('<<->>', 'nd'),
            ('|=|', 'cpa')) AS made (operator, name) LOOP
            EXECUTE pg_catalog.format($f$
                CREATE FUNCTION %1$s_distance_%2$s(%1$s, %1$s) RETURNS float8 LANGUAGE sql IMMUTABLE
                    STRICT PARALLEL SAFE AS 'SELECT NULL::pg_catalog.float8';
                CREATE OPERATOR %3$s (LEFTARG = %1$s, RIGHTARG = %1$s,
                    FUNCTION = %1$s_distance_%2$s, COMMUTATOR = %3$s);
            $f$, kind, one.name, one.operator);
        END LOOP;
        FOR one IN SELECT * FROM (VALUES
            ('bytea_consistent', 'internal, %s, smallint, oid, internal', 'boolean'),
            ('bytea_union', 'internal, internal', 'internal'),
            ('bytea_compress', 'internal', 'internal'), ('var_decompress', 'internal', 'internal'),
            ('bytea_penalty', 'internal, internal, internal', 'internal'),
            ('bytea_picksplit', 'internal, internal', 'internal'),
            ('bytea_same', 'bytea, bytea, internal', 'internal')
        ) AS made (name, arguments, result) LOOP
            EXECUTE pg_catalog.format(
                'CREATE FUNCTION %1$s_gist_%2$s(' || pg_catalog.replace(one.arguments, '%s', kind)
                || ') RETURNS %3$s LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE '
                'AS ''$libdir/btree_gist'', ''gbt_%2$s''', kind, one.name, one.result);
        END LOOP;
        FOR one IN SELECT * FROM (VALUES
            ('gist_%s_ops_2d', 'gist', ' DEFAULT', 'geometry'),
            ('gist_%s_ops_nd', 'gist', '', 'geometry'),
            ('gist_%s_ops', 'gist', ' DEFAULT', 'geography'),
            ('btree_%s_ops', 'btree', ' DEFAULT', kind),
            ('hash_%s_ops', 'hash', ' DEFAULT', 'geometry'),
            ('brin_%s_inclusion_ops_2d', 'brin', ' DEFAULT', 'geometry'),
            ('brin_%s_inclusion_ops_3d', 'brin', '', 'geometry'),
            ('brin_%s_inclusion_ops_4d', 'brin', '', 'geometry'),
            ('brin_%s_inclusion_ops', 'brin', ' DEFAULT', 'geography'),
            ('spgist_%s_ops_2d', 'spgist', ' DEFAULT', 'geometry'),
            ('spgist_%s_ops_3d', 'spgist', '', 'geometry'),
            ('spgist_%s_ops_nd', 'spgist', '', 'geometry'),
            ('spgist_%s_ops_nd', 'spgist', ' DEFAULT', 'geography')
        ) AS made (name, method, preset, type) WHERE type = kind LOOP
            EXECUTE pg_catalog.format(
                'CREATE OPERATOR CLASS ' || one.name || one.preset || ' FOR TYPE %1$s USING '
                || one.method || ' AS ' || CASE one.method
                WHEN 'gist' THEN $f$
                    OPERATOR 3 &&, OPERATOR 6 ~=, OPERATOR 7 ~, OPERATOR 8 @,
                    FUNCTION 1 %1$s_gist_bytea_consistent(internal, %1$s, smallint, oid, internal),
                    FUNCTION 2 %1$s_gist_bytea_union(internal, internal),
                    FUNCTION 3 %1$s_gist_bytea_compress(internal),
                    FUNCTION 4 %1$s_gist_var_decompress(internal),
                    FUNCTION 5 %1$s_gist_bytea_penalty(internal, internal, internal),
                    FUNCTION 6 %1$s_gist_bytea_picksplit(internal, internal),
                    FUNCTION 7 %1$s_gist_bytea_same(bytea, bytea, internal), STORAGE bytea $f$
                WHEN 'spgist' THEN $f$
                    OPERATOR 3 &&, OPERATOR 6 ~=,
                    FUNCTION 1 pg_catalog.spg_text_config(internal, internal),
                    FUNCTION 2 pg_catalog.spg_text_choose(internal, internal),
                    FUNCTION 3 pg_catalog.spg_text_picksplit(internal, internal),
                    FUNCTION 4 pg_catalog.spg_text_inner_consistent(internal, internal),
                    FUNCTION 5 pg_catalog.spg_text_leaf_consistent(internal, internal) $f$
                WHEN 'hash' THEN $f$ OPERATOR 1 =, FUNCTION 1 %1$s_hash(%1$s) $f$
                WHEN 'btree' THEN $f$
                    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
                    FUNCTION 1 %1$s_cmp(%1$s, %1$s) $f$
                ELSE $f$
                    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
                    FUNCTION 1 pg_catalog.brin_minmax_opcinfo(internal),
                    FUNCTION 2 pg_catalog.brin_minmax_add_value(internal, internal, internal, internal),
                    FUNCTION 3 pg_catalog.brin_minmax_consistent(internal, internal, internal),
                    FUNCTION 4 pg_catalog.brin_minmax_union(internal, internal, internal) $f$
                END, kind);
        END LOOP;
    END LOOP;
END $make$;

-- The functions, each with what it returns: its first argument where that is of the type, the
-- geometry of a text, or NULL.
DO $make$
DECLARE
    signature text;
    result text;
    first text;
    body text;
BEGIN
    FOREACH signature IN ARRAY pg_catalog.string_to_array($list$geometrytype(geography) text
geometrytype(geometry) text
geomfromewkb(bytea) geometry
geomfromewkt(text) geometry
st_3dclosestpoint(geometry, geometry) geometry
st_3ddfullywithin(geometry, geometry, float8) boolean
st_3ddistance(geometry, geometry) float8
st_3ddwithin(geometry, geometry, float8) boolean
st_3dintersects(geometry, geometry) boolean
st_3dlength(geometry) float8
st_3dlineinterpolatepoint(geometry, float8) geometry
st_3dlongestline(geometry, geometry) geometry
st_3dmakebox(geometry, geometry) box3d
st_3dmaxdistance(geometry, geometry) float8
st_3dperimeter(geometry) float8
st_3dshortestline(geometry, geometry) geometry
st_addmeasure(geometry, float8, float8) geometry
st_addpoint(geometry, geometry) geometry
st_addpoint(geometry, geometry, integer) geometry
st_affine(geometry, float8, float8, float8, float8, float8, float8) geometry
st_affine(geometry, float8, float8, float8, float8, float8, float8, float8, float8, float8, float8, float8, float8) geometry
st_angle(geometry, geometry) float8
st_angle(geometry, geometry, geometry, geometry DEFAULT 'POINT EMPTY') float8
st_area(geography, boolean DEFAULT true) float8
st_area(geometry) float8
st_area(text) float8
st_area2d(geometry) float8
st_asbinary(geography) bytea
st_asbinary(geography, text) bytea
st_asbinary(geometry) bytea
st_asbinary(geometry, text) bytea
st_asencodedpolyline(geometry, integer DEFAULT 5) text
st_asewkb(geometry) bytea
st_asewkb(geometry, text) bytea
st_asewkt(geography) text
st_asewkt(geography, integer) text
st_asewkt(geometry) text
st_asewkt(geometry, integer) text
st_asewkt(text) text
st_asgeojson(geography, integer DEFAULT 9, integer DEFAULT 0) text
st_asgeojson(geometry, integer DEFAULT 9, integer DEFAULT 8) text
st_asgeojson(text) text
st_asgml(geography, integer DEFAULT 15, integer DEFAULT 0, text DEFAULT 'gml', text DEFAULT '') text
st_asgml(geometry, integer DEFAULT 15, integer DEFAULT 0) text
st_asgml(integer, geography, integer DEFAULT 15, integer DEFAULT 0, text DEFAULT 'gml', text DEFAULT '') text
st_asgml(integer, geometry, integer DEFAULT 15, integer DEFAULT 0, text DEFAULT null, text DEFAULT null) text
st_asgml(text) text
st_ashexewkb(geometry) text
st_ashexewkb(geometry, text) text
st_askml(geography, integer DEFAULT 15, text DEFAULT '') text
st_askml(geometry, integer DEFAULT 15, text DEFAULT '') text
st_askml(text) text
st_aslatlontext(geometry, text DEFAULT '') text
st_asmarc21(geometry, text DEFAULT 'hdddmmss') text
st_asmvtgeom(geometry, box2d, integer DEFAULT 4096, integer DEFAULT 256, boolean DEFAULT true) geometry
st_assvg(geography, integer DEFAULT 0, integer DEFAULT 15) text
st_assvg(geometry, integer DEFAULT 0, integer DEFAULT 15) text
st_assvg(text) text
st_astext(geography) text
st_astext(geography, integer) text
st_astext(geometry) text
st_astext(geometry, integer) text
st_astext(text) text
st_astwkb(geometry, integer DEFAULT NULL, integer DEFAULT NULL, integer DEFAULT NULL, boolean DEFAULT NULL, boolean DEFAULT NULL) bytea
st_astwkb(geometry[], bigint[], integer DEFAULT NULL, integer DEFAULT NULL, integer DEFAULT NULL, boolean DEFAULT NULL, boolean DEFAULT NULL) bytea
st_asx3d(geometry, integer DEFAULT 15, integer DEFAULT 0) text
st_azimuth(geography, geography) float8
st_azimuth(geometry, geometry) float8
st_bdmpolyfromtext(text, integer) geometry
st_bdpolyfromtext(text, integer) geometry
st_boundary(geometry) geometry
st_boundingdiagonal(geometry, boolean DEFAULT false) geometry
st_box2dfromgeohash(text, integer DEFAULT NULL) box2d
st_buffer(geography, float8) geography
st_buffer(geography, float8, integer) geography
st_buffer(geography, float8, text) geography
st_buffer(geometry, float8, integer) geometry
st_buffer(geometry, float8, text DEFAULT '') geometry
st_buffer(text, float8) geometry
st_buffer(text, float8, integer) geometry
st_buffer(text, float8, text) geometry
st_buildarea(geometry) geometry
st_centroid(geography, boolean DEFAULT true) geography
st_centroid(geometry) geometry
st_centroid(text) geometry
st_chaikinsmoothing(geometry, integer DEFAULT 1, boolean DEFAULT false) geometry
st_cleangeometry(geometry) geometry
st_clipbybox2d(geometry, box2d) geometry
st_closestpoint(geometry, geometry) geometry
st_closestpointofapproach(geometry, geometry) float8
st_clusterdbscan(geometry, float8, integer) integer
st_clusterintersecting(geometry[]) geometry[]
st_clusterkmeans(geometry, integer, float8 DEFAULT null) integer
st_clusterwithin(geometry[], float8) geometry[]
st_collect(geometry, geometry) geometry
st_collect(geometry[]) geometry
st_collectionextract(geometry) geometry
st_collectionextract(geometry, integer) geometry
st_collectionhomogenize(geometry) geometry
st_concavehull(geometry, float, boolean DEFAULT false) geometry
st_contains(geometry, geometry) boolean
st_containsproperly(geometry, geometry) boolean
st_convexhull(geometry) geometry
st_coorddim(geometry) smallint
st_coveredby(geography, geography) boolean
st_coveredby(geometry, geometry) boolean
st_coveredby(text, text) boolean
st_covers(geography, geography) boolean
st_covers(geometry, geometry) boolean
st_covers(text, text) boolean
st_cpawithin(geometry, geometry, float8) boolean
st_crosses(geometry, geometry) boolean
st_curvetoline(geometry, float8 DEFAULT 32, integer DEFAULT 0, integer DEFAULT 0) geometry
st_delaunaytriangles(geometry, float8 DEFAULT 0.0, integer DEFAULT 0) geometry
st_dfullywithin(geometry, geometry, float8) boolean
st_difference(geometry, geometry, float8 DEFAULT -1.0) geometry
st_dimension(geometry) integer
st_disjoint(geometry, geometry) boolean
st_distance(geography, geography, boolean DEFAULT true) float8
st_distance(geometry, geometry) float8
st_distance(text, text) float8
st_distancecpa(geometry, geometry) float8
st_distancesphere(geometry, geometry) float8
st_distancesphere(geometry, geometry, float8) float8
st_distancespheroid(geometry, geometry) float8
st_dump(geometry) SETOF geometry_dump
st_dumppoints(geometry) SETOF geometry_dump
st_dumprings(geometry) SETOF geometry_dump
st_dumpsegments(geometry) SETOF geometry_dump
st_dwithin(geography, geography, float8, boolean DEFAULT true) boolean
st_dwithin(geometry, geometry, float8) boolean
st_dwithin(text, text, float8) boolean
st_endpoint(geometry) geometry
st_envelope(geometry) geometry
st_equals(geometry, geometry) boolean
st_estimatedextent(text, text) box2d
st_estimatedextent(text, text, text) box2d
st_estimatedextent(text, text, text, boolean) box2d
st_expand(box2d, float8) box2d
st_expand(box2d, float8, float8) box2d
st_expand(box3d, float8) box3d
st_expand(box3d, float8, float8, float8 DEFAULT 0) box3d
st_expand(geometry, float8) geometry
st_expand(geometry, float8, float8, float8 DEFAULT 0, float8 DEFAULT 0) geometry
st_exteriorring(geometry) geometry
st_filterbym(geometry, float8, float8 DEFAULT null, boolean DEFAULT false) geometry
st_findextent(text, text) box2d
st_findextent(text, text, text) box2d
st_flipcoordinates(geometry) geometry
st_force3d(geometry, float8 DEFAULT 0.0) geometry
st_force3dm(geometry, float8 DEFAULT 0.0) geometry
st_force3dz(geometry, float8 DEFAULT 0.0) geometry
st_force4d(geometry, float8 DEFAULT 0.0, float8 DEFAULT 0.0) geometry
st_forcecollection(geometry) geometry
st_forcecurve(geometry) geometry
st_forcepolygonccw(geometry) geometry
st_forcepolygoncw(geometry) geometry
st_forcerhr(geometry) geometry
st_forcesfs(geometry) geometry
st_forcesfs(geometry, text) geometry
st_frechetdistance(geometry, geometry, float8 DEFAULT -1) float8
st_generatepoints(geometry, integer) geometry
st_generatepoints(geometry, integer, integer) geometry
st_geogfromtext(text) geography
st_geogfromwkb(bytea) geography
st_geographyfromtext(text) geography
st_geohash(geography, integer DEFAULT 0) text
st_geohash(geometry, integer DEFAULT 0) text
st_geomcollfromtext(text) geometry
st_geomcollfromtext(text, integer) geometry
st_geomcollfromwkb(bytea) geometry
st_geomcollfromwkb(bytea, integer) geometry
st_geometricmedian(geometry, float8 DEFAULT NULL, integer DEFAULT 10000, boolean DEFAULT false) geometry
st_geometryfromtext(text) geometry
st_geometryfromtext(text, integer) geometry
st_geometryn(geometry, integer) geometry
st_geometrytype(geometry) text
st_geomfromewkb(bytea) geometry
st_geomfromewkt(text) geometry
st_geomfromgeohash(text, integer DEFAULT NULL) geometry
st_geomfromgeojson(json) geometry
st_geomfromgeojson(jsonb) geometry
st_geomfromgeojson(text) geometry
st_geomfromgml(text) geometry
st_geomfromgml(text, integer) geometry
st_geomfromkml(text) geometry
st_geomfrommarc21(text) geometry
st_geomfromtext(text) geometry
st_geomfromtext(text, integer) geometry
st_geomfromtwkb(bytea) geometry
st_geomfromwkb(bytea) geometry
st_geomfromwkb(bytea, integer) geometry
st_gmltosql(text) geometry
st_gmltosql(text, integer) geometry
st_hasarc(geometry) boolean
st_hausdorffdistance(geometry, geometry) float8
st_hausdorffdistance(geometry, geometry, float8) float8
st_hexagon(float8, integer, integer, geometry DEFAULT 'POINT(0 0)') geometry
st_interiorringn(geometry, integer) geometry
st_interpolatepoint(geometry, geometry) float8
st_intersection(geography, geography) geography
st_intersection(geometry, geometry, float8 DEFAULT -1) geometry
st_intersection(text, text) geometry
st_intersects(geography, geography) boolean
st_intersects(geometry, geometry) boolean
st_intersects(text, text) boolean
st_isclosed(geometry) boolean
st_iscollection(geometry) boolean
st_isempty(geometry) boolean
st_ispolygonccw(geometry) boolean
st_ispolygoncw(geometry) boolean
st_isring(geometry) boolean
st_issimple(geometry) boolean
st_isvalid(geometry) boolean
st_isvalid(geometry, integer) boolean
st_isvaliddetail(geometry, integer DEFAULT 0) valid_detail
st_isvalidreason(geometry) text
st_isvalidreason(geometry, integer) text
st_isvalidtrajectory(geometry) boolean
st_length(geography, boolean DEFAULT true) float8
st_length(geometry) float8
st_length(text) float8
st_length2d(geometry) float8
st_letters(text, json DEFAULT NULL) geometry
st_linecrossingdirection(geometry, geometry) integer
st_linefromencodedpolyline(text, integer DEFAULT 5) geometry
st_linefrommultipoint(geometry) geometry
st_linefromtext(text) geometry
st_linefromtext(text, integer) geometry
st_linefromwkb(bytea) geometry
st_linefromwkb(bytea, integer) geometry
st_lineinterpolatepoint(geometry, float8) geometry
st_lineinterpolatepoints(geometry, float8, boolean DEFAULT true) geometry
st_linelocatepoint(geometry, geometry) float8
st_linemerge(geometry) geometry
st_linemerge(geometry, boolean) geometry
st_linestringfromwkb(bytea) geometry
st_linestringfromwkb(bytea, integer) geometry
st_linesubstring(geometry, float8, float8) geometry
st_linetocurve(geometry) geometry
st_locatealong(geometry, float8, float8 DEFAULT 0.0) geometry
st_locatebetween(geometry, float8, float8, float8 DEFAULT 0.0) geometry
st_locatebetweenelevations(geometry, float8, float8) geometry
st_longestline(geometry, geometry) geometry
st_m(geometry) float8
st_makebox2d(geometry, geometry) box2d
st_makeenvelope(float8, float8, float8, float8, integer DEFAULT 0) geometry
st_makeline(geometry, geometry) geometry
st_makeline(geometry[]) geometry
st_makepoint(float8, float8) geometry
st_makepoint(float8, float8, float8) geometry
st_makepoint(float8, float8, float8, float8) geometry
st_makepointm(float8, float8, float8) geometry
st_makepolygon(geometry) geometry
st_makepolygon(geometry, geometry[]) geometry
st_makevalid(geometry) geometry
st_makevalid(geometry, text) geometry
st_maxdistance(geometry, geometry) float8
st_memsize(geometry) integer
st_minimumboundingcircle(geometry, integer DEFAULT 48) geometry
st_minimumclearance(geometry) float8
st_minimumclearanceline(geometry) geometry
st_mlinefromtext(text) geometry
st_mlinefromtext(text, integer) geometry
st_mlinefromwkb(bytea) geometry
st_mlinefromwkb(bytea, integer) geometry
st_mpointfromtext(text) geometry
st_mpointfromtext(text, integer) geometry
st_mpointfromwkb(bytea) geometry
st_mpointfromwkb(bytea, integer) geometry
st_mpolyfromtext(text) geometry
st_mpolyfromtext(text, integer) geometry
st_mpolyfromwkb(bytea) geometry
st_mpolyfromwkb(bytea, integer) geometry
st_multi(geometry) geometry
st_multilinefromwkb(bytea) geometry
st_multilinestringfromtext(text) geometry
st_multilinestringfromtext(text, integer) geometry
st_multipointfromtext(text) geometry
st_multipointfromwkb(bytea) geometry
st_multipointfromwkb(bytea, integer) geometry
st_multipolyfromwkb(bytea) geometry
st_multipolyfromwkb(bytea, integer) geometry
st_multipolygonfromtext(text) geometry
st_multipolygonfromtext(text, integer) geometry
st_ndims(geometry) smallint
st_node(geometry) geometry
st_normalize(geometry) geometry
st_npoints(geometry) integer
st_nrings(geometry) integer
st_numgeometries(geometry) integer
st_numinteriorring(geometry) integer
st_numinteriorrings(geometry) integer
st_numpatches(geometry) integer
st_numpoints(geometry) integer
st_offsetcurve(geometry, float8, text DEFAULT '') geometry
st_orderingequals(geometry, geometry) boolean
st_orientedenvelope(geometry) geometry
st_overlaps(geometry, geometry) boolean
st_patchn(geometry, integer) geometry
st_perimeter(geography, boolean DEFAULT true) float8
st_perimeter(geometry) float8
st_perimeter2d(geometry) float8
st_point(float8, float8) geometry
st_point(float8, float8, integer) geometry
st_pointfromgeohash(text, integer DEFAULT NULL) geometry
st_pointfromtext(text) geometry
st_pointfromtext(text, integer) geometry
st_pointfromwkb(bytea) geometry
st_pointfromwkb(bytea, integer) geometry
st_pointinsidecircle(geometry, float8, float8, float8) boolean
st_pointm(float8, float8, float8, integer DEFAULT 0) geometry
st_pointn(geometry, integer) geometry
st_pointonsurface(geometry) geometry
st_points(geometry) geometry
st_pointz(float8, float8, float8, integer DEFAULT 0) geometry
st_pointzm(float8, float8, float8, float8, integer DEFAULT 0) geometry
st_polyfromtext(text) geometry
st_polyfromtext(text, integer) geometry
st_polyfromwkb(bytea) geometry
st_polyfromwkb(bytea, integer) geometry
st_polygon(geometry, integer) geometry
st_polygonfromtext(text) geometry
st_polygonfromtext(text, integer) geometry
st_polygonfromwkb(bytea) geometry
st_polygonfromwkb(bytea, integer) geometry
st_polygonize(geometry[]) geometry
st_project(geography, float8, float8) geography
st_quantizecoordinates(geometry, integer, integer DEFAULT NULL, integer DEFAULT NULL, integer DEFAULT NULL) geometry
st_reduceprecision(geometry, float8) geometry
st_relate(geometry, geometry) text
st_relate(geometry, geometry, integer) text
st_relate(geometry, geometry, text) boolean
st_relatematch(text, text) boolean
st_removepoint(geometry, integer) geometry
st_removerepeatedpoints(geometry, float8 DEFAULT 0.0) geometry
st_reverse(geometry) geometry
st_rotate(geometry, float8) geometry
st_rotate(geometry, float8, float8, float8) geometry
st_rotate(geometry, float8, geometry) geometry
st_rotatex(geometry, float8) geometry
st_rotatey(geometry, float8) geometry
st_rotatez(geometry, float8) geometry
st_scale(geometry, geometry) geometry
st_scale(geometry, geometry, geometry) geometry
st_scroll(geometry, geometry) geometry
st_segmentize(geography, float8) geography
st_segmentize(geometry, float8) geometry
st_seteffectivearea(geometry, float8 DEFAULT -1, integer DEFAULT 1) geometry
st_setpoint(geometry, integer, geometry) geometry
st_setsrid(geography, integer) geography
st_setsrid(geometry, integer) geometry
st_sharedpaths(geometry, geometry) geometry
st_shiftlongitude(geometry) geometry
st_shortestline(geometry, geometry) geometry
st_simplify(geometry, float8) geometry
st_simplify(geometry, float8, boolean) geometry
st_simplifypolygonhull(geometry, float8, boolean DEFAULT true) geometry
st_simplifypreservetopology(geometry, float8) geometry
st_simplifyvw(geometry, float8) geometry
st_snap(geometry, geometry, float8) geometry
st_snaptogrid(geometry, float8) geometry
st_snaptogrid(geometry, float8, float8) geometry
st_snaptogrid(geometry, float8, float8, float8, float8) geometry
st_snaptogrid(geometry, geometry, float8, float8, float8, float8) geometry
st_split(geometry, geometry) geometry
st_square(float8, integer, integer, geometry DEFAULT 'POINT(0 0)') geometry
st_srid(geography) integer
st_srid(geometry) integer
st_startpoint(geometry) geometry
st_subdivide(geometry, integer DEFAULT 256, float8 DEFAULT -1.0) SETOF geometry
st_summary(geography) text
st_summary(geometry) text
st_symdifference(geometry, geometry, float8 DEFAULT -1.0) geometry
st_symmetricdifference(geometry, geometry) geometry
st_tileenvelope(integer, integer, integer, geometry DEFAULT NULL, float8 DEFAULT 0.0) geometry
st_touches(geometry, geometry) boolean
st_transform(geometry, integer) geometry
st_transform(geometry, text) geometry
st_transform(geometry, text, integer) geometry
st_transform(geometry, text, text) geometry
st_translate(geometry, float8, float8) geometry
st_translate(geometry, float8, float8, float8) geometry
st_transscale(geometry, float8, float8, float8, float8) geometry
st_triangulatepolygon(geometry) geometry
st_unaryunion(geometry, float8 DEFAULT -1.0) geometry
st_union(geometry, geometry) geometry
st_union(geometry, geometry, float8) geometry
st_union(geometry[]) geometry
st_voronoilines(geometry, float8 DEFAULT 0.0, geometry DEFAULT NULL) geometry
st_voronoipolygons(geometry, float8 DEFAULT 0.0, geometry DEFAULT NULL) geometry
st_within(geometry, geometry) boolean
st_wkbtosql(bytea) geometry
st_wkttosql(text) geometry
st_wrapx(geometry, float8, float8) geometry
st_x(geometry) float8
st_xmax(box3d) float8
st_xmin(box3d) float8
st_y(geometry) float8
st_ymax(box3d) float8
st_ymin(box3d) float8
st_z(geometry) float8
st_zmax(box3d) float8
st_zmflag(geometry) smallint
st_zmin(box3d) float8$list$, E'\n') LOOP
        result := pg_catalog.substring(signature, '\) ([^)]*)$');
        first := pg_catalog.substring(signature, '\((\w*)');
        body := CASE
            WHEN result = 'void' THEN ''
            WHEN result LIKE 'SETOF %' THEN 'NULL::' || pg_catalog.substr(result, 7) || ' WHERE false'
            WHEN result = first OR result IN ('geometry', 'geography') AND first = 'text'
                THEN '$1::' || result
            WHEN signature ~ '^st_(make)?point(z|m|zm)?\(float8'
                THEN '(''POINT('' || $1 || '' '' || $2 || '')'')::geometry'
            ELSE 'NULL::' || result END;
        EXECUTE pg_catalog.format(
            'CREATE FUNCTION %s RETURNS %s LANGUAGE sql IMMUTABLE%s PARALLEL SAFE AS %L',
            pg_catalog.left(signature, -pg_catalog.length(result)), result,
            CASE WHEN signature ~* 'default null' THEN '' ELSE ' STRICT' END, 'SELECT ' || body);
    END LOOP;
    FOREACH signature IN ARRAY '{st_collect,st_union,st_memunion,st_memcollect,st_polygonize,
        st_makeline}'::text[] LOOP
        EXECUTE pg_catalog.format(
            'CREATE AGGREGATE %s(geometry) (SFUNC = st_collect, STYPE = geometry)', signature);
    END LOOP;
    FOREACH signature IN ARRAY '{box2d,box3d}'::text[] LOOP
        EXECUTE pg_catalog.format($f$
            CREATE FUNCTION st_combinebbox(%1$s, geometry) RETURNS %1$s LANGUAGE sql IMMUTABLE
                PARALLEL SAFE AS 'SELECT $1';
            CREATE AGGREGATE %2$s(geometry) (SFUNC = st_combinebbox, STYPE = %1$s);
        $f$, signature, CASE signature WHEN 'box2d' THEN 'st_extent' ELSE 'st_3dextent' END);
    END LOOP;
END $make$;

CREATE FUNCTION postgis_version() RETURNS text LANGUAGE sql IMMUTABLE
    AS $$SELECT '3.6 USE_GEOS=1 USE_PROJ=1 USE_STATS=1'$$;
CREATE FUNCTION postgis_lib_version() RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT '3.6.0'$$;
CREATE FUNCTION postgis_full_version() RETURNS text LANGUAGE sql STABLE
    AS $$SELECT 'POSTGIS="3.6.0" (a stand-in)'$$;
CREATE FUNCTION postgis_extensions_upgrade() RETURNS text LANGUAGE sql VOLATILE
    AS $$SELECT 'Upgrade completed'$$;

CREATE TABLE spatial_ref_sys (
    srid integer PRIMARY KEY CHECK (srid > 0 AND srid <= 998999),
    auth_name varchar(256), auth_srid integer, srtext varchar(2048), proj4text varchar(2048));
INSERT INTO spatial_ref_sys (srid, auth_name, auth_srid, proj4text) VALUES
    (4326, 'EPSG', 4326, '+proj=longlat +datum=WGS84 +no_defs'),
    (3857, 'EPSG', 3857, '+proj=merc +a=6378137 +b=6378137 +units=m +no_defs');
DO $make$
DECLARE
    kind text;
BEGIN
    FOREACH kind IN ARRAY '{geometry,geography}'::text[] LOOP
        EXECUTE pg_catalog.format($view$
            CREATE VIEW %1$s_columns AS
            SELECT pg_catalog.current_database()::varchar(256) AS f_table_catalog,
                n.nspname AS f_table_schema, c.relname AS f_table_name, a.attname AS f_%1$s_column,
                COALESCE(postgis_typmod_dims(a.atttypmod), 2) AS coord_dimension,
                postgis_typmod_srid(a.atttypmod) AS srid,
                pg_catalog.upper(postgis_typmod_type(a.atttypmod))::varchar(30) AS type
            FROM pg_catalog.pg_attribute a
            JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE a.atttypid = '%1$s'::pg_catalog.regtype AND NOT a.attisdropped
                AND c.relkind IN ('r', 'v', 'm', 'f', 'p')$view$, kind);
    END LOOP;
END $make$;
GRANT ALL ON spatial_ref_sys TO PUBLIC;
GRANT SELECT ON geometry_columns, geography_columns TO PUBLIC;

CREATE FUNCTION addgeometrycolumn(
    schema_name varchar, table_name varchar, column_name varchar, new_srid integer, new_type varchar,
    new_dim integer, use_typmod boolean DEFAULT true
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    place text := pg_catalog.concat_ws('.', pg_catalog.quote_ident(NULLIF(schema_name, '')),
        pg_catalog.quote_ident(table_name));
    dimensions text := CASE WHEN new_type ~* '[zm]$' THEN '' ELSE
        CASE new_dim WHEN 3 THEN 'Z' WHEN 4 THEN 'ZM' ELSE '' END END;
BEGIN
    EXECUTE pg_catalog.format('ALTER TABLE %s ADD COLUMN %I @extschema@.geometry(%s%s,%s)',
        place, column_name, new_type, dimensions, GREATEST(new_srid, 0));
    RETURN place || '.' || column_name || ' SRID:' || new_srid || ' TYPE:' || new_type;
END $$;
CREATE FUNCTION addgeometrycolumn(
    table_name varchar, column_name varchar, new_srid integer, new_type varchar, new_dim integer,
    use_typmod boolean DEFAULT true
) RETURNS text LANGUAGE sql AS 'SELECT @extschema@.addgeometrycolumn('''', $1, $2, $3, $4, $5, $6)';
CREATE FUNCTION dropgeometrycolumn(schema_name varchar, table_name varchar, column_name varchar)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    place text := pg_catalog.concat_ws('.', pg_catalog.quote_ident(NULLIF(schema_name, '')),
        pg_catalog.quote_ident(table_name));
BEGIN
    EXECUTE pg_catalog.format('ALTER TABLE %s DROP COLUMN %I', place, column_name);
    RETURN place || '.' || column_name || ' effectively removed.';
END $$;
CREATE FUNCTION dropgeometrycolumn(table_name varchar, column_name varchar)
RETURNS text LANGUAGE sql AS 'SELECT @extschema@.dropgeometrycolumn('''', $1, $2)';
CREATE FUNCTION updategeometrysrid(
    schema_name varchar, table_name varchar, column_name varchar, new_srid integer
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    place text := pg_catalog.concat_ws('.', pg_catalog.quote_ident(NULLIF(schema_name, '')),
        pg_catalog.quote_ident(table_name));
    kind text;
BEGIN
    SELECT @extschema@.postgis_typmod_type(atttypmod) INTO kind FROM pg_catalog.pg_attribute
    WHERE attrelid = place::pg_catalog.regclass AND attname = column_name;
    EXECUTE pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I TYPE @extschema@.geometry(%s,%s)',
        place, column_name, kind, new_srid);
    RETURN place || '.' || column_name || ' SRID changed to ' || new_srid;
END $$;
CREATE FUNCTION updategeometrysrid(table_name varchar, column_name varchar, new_srid integer)
RETURNS text LANGUAGE sql AS 'SELECT @extschema@.updategeometrysrid('''', $1, $2, $3)';
CREATE FUNCTION find_srid(varchar, varchar, varchar) RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT srid FROM @extschema@.geometry_columns
    WHERE $1 IN ('', f_table_schema) AND f_table_name = $2 AND f_geometry_column = $3
$$;
CREATE FUNCTION populate_geometry_columns(use_typmod boolean DEFAULT true) RETURNS text LANGUAGE sql
    AS 'SELECT NULL::pg_catalog.text';
