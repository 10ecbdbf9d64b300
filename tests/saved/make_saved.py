"""Writes a folder of tests/saved: `python tests/saved/make_saved.py tests/saved/NAME`, with the code of the day."""

import json
import shutil
import sys
from pathlib import Path

import hf_rap
from hf_rap.demo import demo_engine, make_planted

folder = Path(sys.argv[1])
folder.mkdir(parents=True)
make_planted(20, seed=0).to_parquet(folder / "rows.parquet")
rows = hf_rap.load_source(str(folder / "rows.parquet"))
rollouts = hf_rap.Rollouts(demo_engine(), attempts=3, max_new_tokens=48, attention=True, seed=5)
evidence = hf_rap.collect_in_run(getattr(rows, "dataset", rows), rollouts, str(folder / "run"))
scored = hf_rap.add_scores(evidence, hf_rap.cde_score, hf_rap.difficulty_score, hf_rap.ace_score)
scored.to_parquet(folder / "scored.parquet")
selection = hf_rap.select_cognitive(scored, min_cde=0.2, max_ace=None)
hf_rap.publish_to_folder(selection, folder / "version", name="me/grid-rap", licence="apache-2.0")
for pictures in ("samples", "plots"):  # nobody reads them again
    shutil.rmtree(folder / "version" / pictures)
told = {
    "ids": scored["rap_id"][:],
    "image_rewards": scored["rap_image_rewards"][:],
    "text_rewards": scored["rap_text_rewards"][:],
    "cde": scored["rap_cde"][:],
    "difficulty": scored["rap_difficulty"][:],
    "ace": scored["rap_ace"][:],
    "keep": selection.scored["rap_keep"][:],
    "reason": selection.scored["rap_reason"][:],
    "run": [held.as_dict() | {"settings": None} for held in hf_rap.list_runs(str(folder / "run"))],
}
(folder / "told.json").write_text(json.dumps(told, indent=1))
