#!/bin/sh
# Run Django's deployment checks on the settings of a well-kept installation, made up for the purpose.
set -eu
cd "$(dirname "$0")/../.."
var=$(mktemp -d)
trap 'rm -rf "$var"' EXIT
export HOLDFAST_VAR="$var" HOLDFAST_HTTPS=1 ALLOWED_HOSTS=holdfast.example
SECRET_KEY=$(.venv/bin/python -c 'import secrets; print(secrets.token_urlsafe(50))')
export SECRET_KEY
.venv/bin/python manage.py init_keys >/dev/null
.venv/bin/python manage.py check --deploy --fail-level WARNING
