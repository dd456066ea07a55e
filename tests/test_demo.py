"The main job as a person runs it: `meme_demo` in a process of its own, from an empty folder"
import json, re, signal, subprocess, sys, time
from pathlib import Path
import numpy as np
import pytest
from PIL import Image

DEMO = Path(sys.executable).with_name('meme_demo')


def demo(folder, *args): return subprocess.run([DEMO, *args], cwd=folder, capture_output=True, text=True, timeout=900)


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    "The folder of a short run that came to its end"
    folder = tmp_path_factory.mktemp('empty')
    run = demo(folder, '--steps', '20', '--seed', '3')
    assert run.returncode==0, run.stdout+run.stderr
    assert [p.name for p in folder.iterdir()]==['meme_demo_out'], 'the demo writes only into its own folder'
    return folder/'meme_demo_out'


def test_everything_is_there(finished):
    summary = json.loads((finished/'summary.json').read_text())
    assert summary['steps']==20 and summary['stopped_by']=='steps' and summary['seed']==3 and summary['n']==2000
    assert 0<summary['floor']<summary['FD (fashion classifier)'] and summary['FD of pure noise']>20*summary['floor']
    assert len(summary['parameters'])==len(summary['macs_per_step'])==4 and summary['macs_per_image']>20*min(summary['macs_per_step'])*.99
    assert len({tuple(m) for m in summary['convolution_by_stage']})==4, 'four experts of different architecture'
    for name in 'samples', 'denoising', 'losses':
        image = np.asarray(Image.open(finished/f'{name}.png').convert('L'))
        assert image.std()>10, f'{name}.png is nearly blank'
    assert len(list((finished/'bundle').glob('expert_*.safetensors')))==4 and (finished/'bundle'/'config.json').is_file()


def test_the_same_seed_is_the_same_run(finished, tmp_path):
    "Again with the same seed, in another process: the same bytes of the bundle, and the same grid"
    from meme_nb.cli import _train
    from meme_nb.data import image_grid
    from meme_nb.generate import generate
    for seed, same in (3, True), (4, False):
        bundle = _train(20, None, seed, 'cpu').averaged().save(tmp_path/str(seed))
        files = [{f.name: f.read_bytes() for f in folder.iterdir()} for folder in (bundle, finished/'bundle')]
        assert (files[0]==files[1]) is same
        grid = np.asarray(image_grid(generate(bundle, 250, steps=20, seed=seed)[:64], 8, scale=2))
        assert np.array_equal(grid, np.asarray(Image.open(finished/'samples.png'))) is same


@pytest.mark.parametrize('args,says', [
    (['--steps', '0'], 'at least 1'), (['--minutes', '0'], 'more than 0'), (['--steps', 'many'], 'invalid int'), (['--device', 'abacus'], 'cannot be used'),
    (['--out', '/dev/null/x'], 'Cannot write'), (['--out', '/dev/null'], 'Cannot write'), (['--out', 'full'], '--force')], ids=lambda o: ' '.join(o) if isinstance(o, list) else '')
def test_a_wrong_value_is_one_sentence(tmp_path, args, says):
    (tmp_path/'full').mkdir(); (tmp_path/'full'/'thesis.txt').write_text('do not lose')
    run = demo(tmp_path, *args)
    assert run.returncode==2 and says in run.stderr and 'Traceback' not in run.stderr, run.stderr
    assert [p.name for p in tmp_path.rglob('*')]==['full', 'thesis.txt'], 'nothing is written, nothing is lost'


def test_help_answers_at_once(tmp_path):
    times = []
    for _ in range(3):
        start = time.perf_counter(); run = demo(tmp_path, '--help'); times.append(time.perf_counter()-start)
        assert run.returncode==0 and '--minutes' in run.stdout
    assert min(times)<1, f'--help took {min(times):.2f} s'


def test_ctrl_c_while_sampling_keeps_the_bundle(tmp_path):
    from meme_nb.model import MEME
    heed = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)      # a shell's background jobs are born deaf to Ctrl-C, and so would be their children
    run = subprocess.Popen([DEMO, '--steps', '1', '--out', 'out'], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=heed)
    seen = ''
    while not re.search(r'[1-9]\d*/160', seen):      # the bar of the samples: 160 sampler steps; a fast machine shows few of them
        more = run.stdout.read(20); assert more, seen
        seen += more
    run.send_signal(signal.SIGINT)
    rest = run.communicate(timeout=60)[0]
    assert run.returncode==130 and 'is whole' in rest and 'Traceback' not in rest, rest
    assert len(MEME.load(tmp_path/'out'/'bundle').experts)==4 and json.loads((tmp_path/'out'/'summary.json').read_text())['steps']==1
