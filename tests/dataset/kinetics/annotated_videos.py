"""Names and lines of a CSV in the form of Kinetics, of which conftest.py makes videos."""

CLASSES = ['playing "air" guitar', "growing", "打太极", "bee's keeping"]  # not in order
IN_ORDER = ["bee's keeping", "growing", 'playing "air" guitar', "打太极"]
DRAWINGS = ["rising", "growing", "stripes", "checkers"]
HEADER = "label,youtube_id,time_start,time_end,split,is_cc\n"


def clip_id(label, i=0):
    return f"-v{label}_{i}_NA"


def csv_line(name, youtube_id, start=7, split="train"):
    return '"{}",{},{},{},{},0\n'.format(name.replace('"', '""'), youtube_id, start, start + 10, split)
