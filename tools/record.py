"""What every measurement leaves: its figures, and how they came about, as a small JSON that the notebooks show"""
import json, os, platform, sys, time
from pathlib import Path
import torch

IMAGES = Path(__file__).resolve().parent.parent/'nbs'/'images'


def machine():
    "What a figure depends on"
    return dict(torch=torch.__version__, threads=torch.get_num_threads(), machine=f'{os.cpu_count()} cores, {platform.machine()}', date=time.strftime('%Y-%m-%d'))

def command():
    "The command that is running"
    return ' '.join(['python', f'tools/{Path(sys.argv[0]).name}', *sys.argv[1:]])

def write(name, facts, indent=1):
    "Write `facts` to nbs/images/NAME.json: the file"
    file = IMAGES/f'{name}.json'
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(facts, indent=indent)+'\n', encoding='utf-8')
    return file

def record(name, **facts):
    "Write `facts` to nbs/images/NAME.json, with the command and what they depend on, and print them"
    file = write(name, dict(command=command(), **machine(), **facts))
    print(f'\n{file}:\n{file.read_text(encoding="utf-8")}')
