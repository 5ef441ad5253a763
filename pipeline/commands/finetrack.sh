#!/bin/sh
# `finetrack COMMAND`, as `make setup` installs it into .venv/bin: python -m pipeline COMMAND, from any folder of
# the project. It runs the code of the project that the current folder belongs to, so that a copy or a second
# clone never runs the code of another; elsewhere that of the project whose .venv this is.
script=$(readlink -f "$0") || exit 1
root=$(pwd -P)
until [ -f "$root/dvc.yaml" ] && [ -f "$root/pipeline/__main__.py" ]; do
    if [ "$root" = / ]; then
        root=$(dirname "$(dirname "$(dirname "$script")")")
        break
    fi
    root=$(dirname "$root")
done
exec "$(dirname "$script")/python" -c '
import sys
from pathlib import Path
root = sys.argv.pop(1)
sys.path[0] = root
from pipeline.__main__ import main_from
sys.exit(main_from(Path(root)))
' "$root" "$@"
