"""The Slurm job: what srun's tasks start; sbatch and srun are played as Slurm plays them."""

import os
import subprocess

import pytest

from tests.run_scripts.conftest import SCRIPTS

JOB = SCRIPTS / "slurm/job.sh"
# -K among the options; one task after the other, each with its number
SRUN = """#!/usr/bin/env bash
echo "srun $1 $2" >&2
[[ $1 == -K ]] || exit 9
shift 2
for ((task = 0; task < SLURM_NTASKS; task++)); do
    SLURM_PROCID=$task SLURM_LOCALID=$((task % SLURM_NTASKS_PER_NODE)) "$@" || exit $?
done
"""
# sbatch copies the script to a spool folder and runs it in the folder it was submitted from
SBATCH = """#!/usr/bin/env bash
cp "$1" "$SPOOL/slurm_script"
shift
SLURM_JOB_ID=7001 bash "$SPOOL/slurm_script" "$@"
"""
SCRIPT = """echo "RANKS=$RANKS RANK=$RANK LOCAL_RANK=$LOCAL_RANK INIT=${INIT:-} CPU=${CPU:-} DATA=$DATA $*"
exit ${STATUS:-0}
"""


@pytest.fixture
def sbatch(tmp_path):
    """``sbatch("script.sh", "a=b", SLURM_NTASKS="2")``: exit status, output and messages."""
    programs = {"srun": SRUN, "sbatch": SBATCH, "scontrol": "#!/usr/bin/env bash\nprintf '%s\\n' first second\n"}
    (tmp_path / "programs").mkdir()
    for name, text in (programs | {"nvidia-smi": "#!/usr/bin/env bash\nexit 1\n"}).items():
        (tmp_path / "programs" / name).write_text(text)
        (tmp_path / "programs" / name).chmod(0o755)
    (tmp_path / "script.sh").write_text(SCRIPT)
    (tmp_path / "spool").mkdir()

    def sbatch(*arguments: str, **variables: str) -> tuple[int, list[str], str]:
        path = f"{tmp_path / 'programs'}{os.pathsep}{os.environ['PATH']}"
        environment = {"PATH": path, "SPOOL": str(tmp_path / "spool"), "DATA": "d", "SLURM_NTASKS_PER_NODE": "8"}
        environment |= {"SLURM_JOB_NODELIST": "n[1-2]", **variables}
        command = ["sbatch", str(JOB), *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout.splitlines(), done.stderr

    return sbatch


def test_two_machines_of_two_gpus(sbatch):
    given = {"SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "2", "SLURM_GPUS_ON_NODE": "2", "SLURM_JOB_NUM_NODES": "2"}
    status, lines, messages = sbatch("script.sh", "a=b c", **given, CUDA_VISIBLE_DEVICES="0,1", SLURM_CPUS_PER_TASK="6")
    assert status == 0 and messages == "srun -K --cpus-per-task=6\n"
    assert lines == [
        f"RANKS=4 RANK={rank} LOCAL_RANK={rank % 2} INIT=tcp://first:27001 CPU= DATA=d a=b c" for rank in range(4)
    ]


def test_tasks_that_see_one_gpu_each(sbatch):
    given = {"SLURM_NTASKS": "2", "SLURM_GPUS_ON_NODE": "2", "CUDA_VISIBLE_DEVICES": "1"}
    assert all(" LOCAL_RANK=0 " in line for line in sbatch("script.sh", **given)[1])


def test_without_gpus(sbatch):
    _, lines, _ = sbatch("script.sh", SLURM_NTASKS="2")
    assert lines == [f"RANKS=2 RANK={rank} LOCAL_RANK={rank} INIT=tcp://first:27001 CPU=1 DATA=d " for rank in range(2)]


def test_one_task_leaves_the_gpus_to_the_script(sbatch):
    _, lines, _ = sbatch("script.sh", SLURM_NTASKS="1", SLURM_GPUS_ON_NODE="8")
    assert lines == ["RANKS=1 RANK=0 LOCAL_RANK=0 INIT= CPU= DATA=d "]


def test_tasks_and_gpus_must_match(sbatch):
    status, _, messages = sbatch("script.sh", SLURM_NTASKS="2", SLURM_GPUS_ON_NODE="8")
    assert status == 2 and messages.startswith("2 tasks for 8 GPUs")


def test_failure_of_a_task_is_the_job_s(sbatch):
    assert sbatch("script.sh", SLURM_NTASKS="2", STATUS="5")[0] == 5


def test_wrong_calls(sbatch, tmp_path):
    status, _, messages = sbatch("none.sh", SLURM_NTASKS="1")
    assert status == 2 and messages.startswith(f"no script none.sh in {tmp_path}")
    for arguments, status in ([], 2), (["--help"], 0):
        done = subprocess.run(["bash", str(JOB), *arguments], capture_output=True, text=True)
        assert done.returncode == status and "sbatch --nodes=2" in done.stdout
    done = subprocess.run(["bash", str(JOB), str(tmp_path / "script.sh")], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("this is a job: sbatch ")


def test_job_and_scripts_fit_together(sbatch, tmp_path):
    """The variables that the job sets are those that the scripts read."""
    for name in ("fairseq-hydra-train", "fairseq-validate"):
        (tmp_path / "programs" / name).write_text('#!/usr/bin/env bash\necho "$@"\n')
        (tmp_path / "programs" / name).chmod(0o755)
    (tmp_path / "d").mkdir()
    (tmp_path / "mine.pt").touch()
    given = {"SLURM_NTASKS": "2", "SMOKE": "1", "CHECKPOINT": "mine.pt"}
    status, lines, messages = sbatch(str(SCRIPTS / "fsd50k/finetune.sh"), "dataset.batch_size=1", **given)
    assert status == 0, messages
    assert "distributed_rank=0" in lines[0] and "distributed_rank=1" in lines[1]
    assert all("distributed_world_size=2" in line and line.endswith("dataset.batch_size=1") for line in lines)
    status, lines, messages = sbatch(str(SCRIPTS / "fsd50k/evaluate.sh"), **given, SPLITS="test", CPU="0")
    assert status == 0 and "--distributed-rank 1" in lines[1], messages
