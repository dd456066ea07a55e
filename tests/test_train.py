"`meme_train` as a person runs it, and as a batch system kills it"
import json, subprocess, sys
from pathlib import Path
import numpy as np
import pytest
from PIL import Image
from torture_resume import torture

TRAIN = Path(sys.executable).with_name('meme_train')


def train(folder, *args): return subprocess.run([TRAIN, *map(str, args)], cwd=folder, capture_output=True, text=True, timeout=600)


def test_killed_and_resumed_is_the_same_run():
    "Two SIGKILLs at random moments; the large test is `tools/torture_resume.py`"
    got = torture(2, seed=3, steps=200)
    assert got['same_bytes'] and got['files']==8, got


def test_a_folder_of_colour_images(tmp_path):
    "Own data, a config file, flags over it, half precision; the bundle lies in the folder"
    from meme_nb.model import MEME
    rng = np.random.default_rng(0)
    for k in range(2):
        (tmp_path/'pics'/f'class{k}').mkdir(parents=True)
        for i in range(20): Image.fromarray(rng.integers(0, 256, (20, 24, 3), np.uint8)).save(tmp_path/'pics'/f'class{k}'/f'{i}.png')
    (tmp_path/'run.json').write_text(json.dumps(dict(data='pics', size=16, width=16, experts=2, steps=100)))
    flags = '--config', 'run.json', '--width', 8, '--steps', 3, '--bs', 4, '--precision', 'bfloat16', '--out', 'out'
    plan = train(tmp_path, *flags, '--dry_run')
    assert plan.returncode==0 and '36 images, 16 x 16 x 3, 2 classes' in plan.stdout and not (tmp_path/'out').exists(), plan.stdout+plan.stderr
    run = train(tmp_path, *flags); assert run.returncode==0, run.stdout+run.stderr
    m = MEME.load(tmp_path/'out'); assert (len(m.experts), m.size, m.n_classes, m.experts[0].config['width'])==(2, (3,16,16), 2, 8)
    assert {f.name for f in (tmp_path/'out').iterdir()}>={'run.json', 'losses.png', 'samples', 'checkpoints'} and len(list((tmp_path/'out').glob('raw_*')))==2


@pytest.mark.parametrize('args,says', [
    (['--steps', -1], '--steps is more than 0'), (['--data', 'nowhere'], 'no such folder'), (['--config', 'nowhere.json'], 'cannot be read'), (['--router', 'oracle'], 'equal, snr'),
    (['--out', 'full'], '--force'), (['--resume'], 'no run.json')], ids=lambda o: ' '.join(map(str, o)) if isinstance(o, list) else '')
def test_a_wrong_value_is_one_sentence(tmp_path, args, says):
    (tmp_path/'full').mkdir(); (tmp_path/'full'/'thesis.txt').write_text('do not lose')
    run = train(tmp_path, *args)
    assert run.returncode==2 and says in run.stderr and 'Traceback' not in run.stderr and len(run.stderr.splitlines())==1, run.stderr
    assert {p.name for p in tmp_path.rglob('*')}=={'full', 'thesis.txt'}, 'nothing is written, nothing is lost'
