#!/bin/sh
# Install what package-lock.json names, each file checked against its digest; nothing happens when it is there already.
set -eu
cd "$(dirname "$0")"
if cmp -s package-lock.json node_modules/.installed; then
    exit 0
fi
if ! command -v npm >/dev/null 2>&1; then
    echo "The test of the TypeScript client needs Node and npm: sudo apt-get install -y nodejs npm" >&2
    exit 1
fi
npm ci --silent
cp package-lock.json node_modules/.installed
