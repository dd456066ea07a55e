"Two processes that train together (gloo, on the CPU): the same run as one"
import os, subprocess, sys
from pathlib import Path
from safetensors.torch import load_file

RUN = Path(__file__).with_name('parallel_run.py')


def run(world, out, dtype, steps=12, stop=0):
    launch = ['-m', 'torch.distributed.run', '--nproc_per_node', str(world), '--master_port', '0', '--rdzv_backend', 'c10d', '--rdzv_endpoint', 'localhost:0'] if world>1 else []
    p = subprocess.run([sys.executable, *launch, RUN, out, dtype, str(steps), str(stop)], capture_output=True, text=True, timeout=300)
    assert p.returncode==0, p.stdout+p.stderr


def gap(a, b): a,b = load_file(a),load_file(b); assert a.keys()==b.keys(); return max((a[k]-b[k]).abs().max().item() for k in a)


def test_data_parallel_is_the_double_batch(tmp_path):
    "Same samples; float64 agrees to 1e-10, float32 to its rounding; and a run may go on with another number of processes"
    for dtype, eps in ('float64', 1e-10), ('float32', 1e-5):
        for world in 1, 2: run(world, tmp_path/f'{dtype}{world}', dtype)
        assert gap(tmp_path/f'{dtype}1', tmp_path/f'{dtype}2')<=eps
    out = tmp_path/'both'; run(2, out, 'float64', stop=7); run(1, out, 'float64')
    assert gap(out, tmp_path/'float641')<=1e-10, 'begun by two, ended by one'


def test_expert_parallel_has_the_bytes_of_one_process(tmp_path):
    "`meme_train` under torchrun, each process with experts of its own; and without a word on how to share, a sentence"
    train = Path(sys.executable).with_name('meme_train'); torchrun = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node', '2', '--rdzv_backend', 'c10d', '--rdzv_endpoint', 'localhost:0']
    def go(*args): return subprocess.run([*map(str, args), '--width', '8', '--size', '16', '--steps', '40', '--device', 'cpu'], cwd=tmp_path, capture_output=True, text=True, timeout=300, env={**os.environ, 'OMP_NUM_THREADS': '1'})      # as torchrun sets it: sums depend on it
    one, two, mute = go(train, '--out', 'one'), go(*torchrun, train, '--out', 'two', '--parallel', 'experts'), go(*torchrun, train)
    assert one.returncode==0 and two.returncode==0, one.stderr+two.stdout+two.stderr
    files = [{f.name: f.read_bytes() for f in (tmp_path/o).glob('expert_*')} for o in ('one', 'two')]
    assert files[0]==files[1] and len(files[0])==4
    assert mute.returncode and '--parallel experts' in mute.stderr
