#!/bin/sh
# Halves the environment of the image, in the build stage: slim.sh ENVIRONMENT
# Removed are what no program here loads, symbols for debuggers, and bytecode of modules that are
# not imported. The names are those of the locked releases: a missing one fails the build.
set -eu
environment=$1
cd "$environment"/lib/python3*/site-packages
"$environment/bin/python" -m pip uninstall --yes --quiet lightgbm pip # lightgbm needs libgomp
find . -type d \( -name tests -o -name __pycache__ \) -prune -exec rm -r {} +
find . \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.h' \) -delete
rm -r pyarrow/include pyarrow/*arrow_flight* pyarrow/_flight* pyarrow/libarrow_s3* pyarrow/_s3fs*
find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name 'sso*' ! -name sts -exec rm -r {} +
rm -r onnx/backend/test onnxruntime/capi/libonnxruntime.so* # test data, and a library for C programs
rm -r onnxruntime/datasets onnxruntime/quantization onnxruntime/tools onnxruntime/transformers
# Libraries in NAME.libs were changed after linking: `strip` may break them.
find . -name '*.so*' -type f ! -path '*.libs/*' -exec strip --strip-unneeded {} +
rm pyarrow/libarrow*.so pyarrow/libarrow*.so.*.*.* # copies of libarrow*.so.*
export HOUSING_HOME=/tmp/home PREFECT_HOME=/tmp/prefect PREFECT_SERVER_UI_STATIC_DIRECTORY=/tmp/ui
"$environment/bin/python" - <<'PYTHON'
import asyncpg, matplotlib.backends.backend_svg, psycopg, pyarrow.compute, pyarrow.parquet, s3fs
import deployments.cli.main, deployments.processes.prediction_api, deployments.processes.worker
import deployments.processes.prefect_middleware, deployments.watchdog.main
import distributed.cli.dask_scheduler, distributed.cli.dask_worker
import housing.inference.onnx.convert, housing.inference.onnx.graph
import flows.backfill, flows.decisions, flows.maintenance, flows.nightly
import housing.pipeline.report, housing.operations.monitor, prefect.engine, prefect.flow_engine
from prefect.cli._app import app
from prefect.server.api.server import create_app
from housing.training.candidates import FAMILIES
[family.build(0) for family in FAMILIES.values() if family.installed]
create_app()
PYTHON
