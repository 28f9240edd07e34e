#!/usr/bin/env bash
# Train a model on several machines: run this on each of them; see --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source scripts/environment.sh

usage() {
    cat <<'TEXT'
usage: NNODES=N NODE=I MASTER=HOST:PORT [NPROC=P] bash scripts/train/train_multinode.sh --model-name=NAME [flags of train.py]
       HOSTS=HOST,... NODE=I [NPROC=P] bash scripts/train/train_multinode.sh --model-name=NAME [flags of train.py]

Start the processes of one machine of a training on several, through python -m paddle.distributed.launch. Run it on
every machine with the same values and flags but NODE; training begins once all have come. Paths are relative to the
project and stand for the same files everywhere: tools/training.md says what the machines have to share.

  NNODES=N          how many machines
  NODE=I            which of them this is, 0 to N - 1
  MASTER=HOST:PORT  machine 0 as the others reach it, and a port that is free there
  HOSTS=HOST,...    in place of NNODES and MASTER: the address of every machine, in their order. Paddle's launcher then
                    opens no port; with MASTER, whoever reaches that port can keep the run from starting. NPROC is the
                    same everywhere. MASTER may still say which port the processes meet on (6170)
  NPROC=P           processes on this machine; default: one for each GPU, or else one
  PADDLE_VIDEO_SECRET_FILE=FILE
                    by which the machines know one another: the same 32 characters or more on each of them, readable by
                    you alone, as (umask 077; head -c 32 /dev/urandom | base64 > secret) makes it
  LOG_DIR=DIR       where the launcher keeps what the processes print (checkpoints/launcher/node$NODE)
  PYTHON=...        the Python to use

On two machines, the first of which is 10.0.0.1:

  export PADDLE_VIDEO_SECRET_FILE=secret
  NNODES=2 NODE=0 MASTER=10.0.0.1:6170 bash scripts/train/train_multinode.sh --model-name=TSN --save-dir=checkpoints/tsn
  NNODES=2 NODE=1 MASTER=10.0.0.1:6170 bash scripts/train/train_multinode.sh --model-name=TSN --save-dir=checkpoints/tsn
TEXT
}

for argument in "$@"; do
    case $argument in -h | --help) usage; exit 0 ;; esac
done

# Stop unless the variable $1 is set; $2 says to what.
need() {
    [ -n "${!1:-}" ] || fail "$1 is not set; it is $2 (--help tells of all)"
}

# Stop unless the value of the variable $1 is a whole number of at least $2.
need_number() {
    [[ ${!1} =~ ^[0-9]{1,4}$ ]] && [ "${!1}" -ge "$2" ] || fail "$1=${!1} is no whole number of $2 or more"
}

if [ -n "${HOSTS:-}" ]; then
    [[ $HOSTS =~ ^[^,:/]+(,[^,:/]+)*$ ]] || fail "HOSTS=$HOSTS is not HOST,HOST,..., such as 10.0.0.1,10.0.0.2"
    IFS=, read -ra hosts <<<"$HOSTS"
    NNODES=${NNODES:-${#hosts[@]}} MASTER=${MASTER:-${hosts[0]}:6170}
    [ "$NNODES" = ${#hosts[@]} ] || fail "NNODES=$NNODES, but HOSTS=$HOSTS are ${#hosts[@]} machines"
    [ "${MASTER%:*}" = "${hosts[0]}" ] || fail "MASTER=$MASTER is not on ${hosts[0]}, the first of HOSTS"
fi
need NNODES "the number of machines"
need NODE "the number of this machine, from 0"
need MASTER "HOST:PORT of machine 0"
need_number NNODES 1
need_number NODE 0
[ "$NODE" -lt "$NNODES" ] || fail "NODE=$NODE, but NNODES=$NNODES machines have the numbers 0 to $((NNODES - 1))"
[[ $MASTER =~ ^([^:/]+):([0-9]{1,5})$ ]] || fail "MASTER=$MASTER is not HOST:PORT, such as 10.0.0.1:6170"
host=${BASH_REMATCH[1]} port=${BASH_REMATCH[2]}
[ $# -gt 0 ] || fail "no flags for train.py; it needs --model-name at least"
python=$(project_python)

# Print the address of host $1, in numbers as Paddle's launcher wants it; $2 names the variable that it is from.
address_of() {
    "$python" -c 'import socket, sys; print(socket.gethostbyname(sys.argv[1]))' "$1" 2>/dev/null ||
        fail "$2=${!2}: no address is known for $1"
}

address=$(address_of "$host" MASTER)
if [ -n "${HOSTS:-}" ]; then
    addresses=()
    for one in "${hosts[@]}"; do
        one=$(address_of "$one" HOSTS)
        addresses+=("$one")
    done
    flags=(--ips "$(IFS=,; echo "${addresses[*]}")" --start_port "$port")
else
    flags=(--nnodes "$NNODES" --rank "$NODE" --master "$address:$port")
fi
flags+=(--log_dir "${LOG_DIR:-checkpoints/launcher/node$NODE}")
if [ "$NODE" -eq 0 ]; then
    case $host:$address in
        localhost:* | 127.*) ;;
        *:127.*) fail "MASTER=$MASTER: on machine 0, which this is, $host stands for $address; give the address that others reach it by" ;;
    esac
    problem=$("$python" -c 'import socket, sys; socket.create_server((sys.argv[1], int(sys.argv[2])))' "$address" "$port" 2>&1) ||
        fail "MASTER=$MASTER: machine 0, which this is, cannot wait there (${problem##*: })"
fi
if [ -n "${HOSTS:-}" ]; then # which of its addresses the others use; otherwise machine 0 alone is asked
    flags+=(--host "${addresses[$NODE]}")
elif [ "$NODE" -eq 0 ]; then
    flags+=(--host "$address")
fi
if [ -n "${NPROC:-}" ]; then
    need_number NPROC 1
    flags+=(--nproc_per_node "$NPROC")
fi
need PADDLE_VIDEO_SECRET_FILE "a file with the secret by which the machines know one another"
[ -r "$PADDLE_VIDEO_SECRET_FILE" ] || fail "PADDLE_VIDEO_SECRET_FILE=$PADDLE_VIDEO_SECRET_FILE cannot be read"
export PADDLE_VIDEO_SECRET_FILE
exec "$python" -m paddle.distributed.launch "${flags[@]}" train.py "$@"
