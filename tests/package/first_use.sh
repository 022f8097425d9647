#!/usr/bin/env bash
# What somebody does first with an installed turnback, in an empty folder: it must work everywhere.
set -euo pipefail

place=$(mktemp -d)
# On Linux, root's Postgres runs as another account, which must be able to enter.
chmod 755 "$place"
cd "$place"
turnback --version
turnback init
turnback generate add_users
echo "CREATE TABLE users (id bigint PRIMARY KEY, email text);" > migrations/sql/0001_add_users.sql
echo "DROP TABLE users;" > migrations/rollback/0001_rollback.sql
turnback check --fix
turnback lint
case "$(uname -s)" in
    # The embedded Postgres is for Linux and macOS.
    MINGW* | MSYS* | CYGWIN*) ;;
    *)
        turnback rehearse --all
        turnback up --embedded
        turnback status --embedded
        turnback down --embedded --yes
        ;;
esac
cd /
rm -rf "$place"
