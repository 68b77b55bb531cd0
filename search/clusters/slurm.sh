#!/bin/bash
# A search on the nodes of one Slurm allocation. Ray's head is on the first, which runs the search; all of them train.
#
#   sbatch --nodes=4 search/clusters/slurm.sh --space spaces/fft.yaml --data /shared/GenImage --out /shared/runs/fft
#
# Change: the #SBATCH lines below to what your site has. Submit from this checkout, on storage that all nodes share, as
# data and runs are, after `uv sync` with a Python that all nodes have (uv sync --python /usr/bin/python3.12). What is
# given to this script goes to search/run.py. Five minutes before the time is up the search ends and reports;
# `sbatch search/clusters/slurm.sh --resume /shared/runs/fft` goes on with it.

#SBATCH --job-name=genimage
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=08:00:00
#SBATCH --signal=B:TERM@300
#SBATCH --no-kill

set -euo pipefail

JOIN_S=${JOIN_S:-300} # how long to wait for nodes; those that come later are used, too
mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
host=$(hostname -I | cut -d' ' -f1)
address=$host:$((20000 + SLURM_JOB_ID % 20000)) # two jobs may share a node

RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(od -An -vtx1 -N32 /dev/urandom | tr -d ' \n')
export RAY_AUTH_MODE RAY_AUTH_TOKEN

start=(.venv/bin/ray start --block --disable-usage-stats "--temp-dir=/tmp/ray-$SLURM_JOB_ID"
  "--num-cpus=${SLURM_CPUS_PER_TASK:-1}" "--num-gpus=${SLURM_GPUS_ON_NODE:-0}")
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT

srun --overlap --nodes=1 --ntasks=1 --nodelist="${hosts[0]}" \
  "${start[@]}" --head "--node-ip-address=$host" "--port=${address#*:}" --include-dashboard=false &
joined() { .venv/bin/ray status --address "$address" 2>/dev/null | grep -c ' node_' || true; }
wait_for() { until [ "$(joined)" -ge "$1" ] || [ "$SECONDS" -ge "$JOIN_S" ]; do sleep 2; done; }
wait_for 1

others=$((${#hosts[@]} - 1))
if [ "$others" -gt 0 ]; then
  srun --overlap --no-kill --nodes="$others" --ntasks="$others" --exclude="${hosts[0]}" \
    "${start[@]}" "--address=$address" &
  wait_for "${#hosts[@]}"
fi
echo "$(joined) of ${#hosts[@]} nodes have joined Ray at $address"

.venv/bin/python search/run.py "$@" --address "$address" &
search=$!
trap 'kill -TERM $search' TERM
code=0
wait $search || code=$?
# The signal ends the waiting, not yet the search: it finishes its epoch and reports.
while kill -0 $search 2>/dev/null; do
  code=0
  wait $search || code=$?
done
exit $code
