"Two processes that train together (gloo, on the CPU): the same run as one"
import os, re, signal, subprocess, sys, time
from pathlib import Path
from meme_nb.model import MEME
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


def test_expert_parallel_goes_on_with_another_number_of_processes(tmp_path):
    "Begun by two and stopped, ended by one, which does both parts: the bytes of one process that did all"
    train = Path(sys.executable).with_name('meme_train'); torchrun = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node', '2', '--rdzv_backend', 'c10d', '--rdzv_endpoint', 'localhost:0']
    env, flags, out = {**os.environ, 'OMP_NUM_THREADS': '1'}, ['--width', '8', '--size', '16', '--steps', '400', '--checkpoint_every', '50', '--device', 'cpu'], tmp_path/'two'
    go = lambda *args: subprocess.run([*map(str, args)], cwd=tmp_path, capture_output=True, text=True, timeout=300, env=env)
    p = subprocess.Popen([*map(str, (*torchrun, train, '--parallel', 'experts', '--out', out, *flags))], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path, env=env)
    try:
        deadline = time.monotonic()+200
        while not all(any((out/f'rank_{k}'/'checkpoints').glob('step_*')) for k in range(2)): assert p.poll() is None and time.monotonic()<deadline, p.communicate()[0]; time.sleep(.05)
        [os.kill(pid, signal.SIGTERM) for pid in workers(p.pid).values()]; p.communicate(timeout=120)
    finally: p.kill()
    other, rest, one = go(*torchrun, train, '--resume', '--parallel', 'data', '--out', out), go(train, '--resume', '--out', out, '--device', 'cpu'), go(train, '--out', 'one', *flags)
    assert other.returncode and 'begun with --parallel experts' in other.stderr
    assert rest.returncode==0 and one.returncode==0, rest.stderr+one.stderr
    files = [{f.name: f.read_bytes() for f in (tmp_path/o).glob('expert_*')} for o in ('one', 'two')]
    assert files[0]==files[1] and len(files[0])==4


def workers(parent):
    "The process ids of torchrun's workers, by rank"
    def env(pid): return dict(o.partition(b'=')[::2] for o in Path(f'/proc/{pid}/environ').read_bytes().split(b'\0'))
    pids = [p.name for p in Path('/proc').iterdir() if p.name.isdigit() and (p/'stat').read_text().rsplit(') ', 1)[1].split()[1]==str(parent)]
    return {int(env(p)[b'RANK']): int(p) for p in pids if b'RANK' in env(p)}


def test_a_signal_to_one_process_stops_all(tmp_path):
    "SIGTERM to the second of two data parallel processes: both stop at the same step, and leave a whole bundle and a checkpoint of it"
    train = Path(sys.executable).with_name('meme_train'); out = tmp_path/'out'
    launch = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node', '2', '--rdzv_backend', 'c10d', '--rdzv_endpoint', 'localhost:0']
    flags = ['--parallel', 'data', '--width', '8', '--size', '16', '--steps', '100000', '--checkpoint_every', '20', '--device', 'cpu', '--out', out]
    p = subprocess.Popen([*launch, train, *map(str, flags)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path)
    try:
        deadline = time.monotonic()+200
        while not any((out/'checkpoints').glob('step_*')): assert p.poll() is None and time.monotonic()<deadline; time.sleep(.1)
        os.kill(workers(p.pid)[1], signal.SIGTERM); said = p.communicate(timeout=120)[0]
    finally: p.kill()
    step = int(re.search(r'Stopped after (\d+) of 100000 steps', said)[1]); newest = max((out/'checkpoints').glob('step_*'))
    assert newest.name==f'step_{step:08d}', (newest, said[-2000:])
    assert len(MEME.load(out).experts)==4
