# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A first selection
#
# At the end you have a dataset of the few rows on which the picture decides whether a model is right, a reason for every
# other row, and a picture of both. It takes about two minutes on a CPU and asks nothing of the network: data and model
# come with the package.
#
# To run it yourself, in Colab for example: `%pip install "hf-rap[notebook]"`

# %% [markdown]
# ## The data
#
# 120 questions about pictures. They are planted: the column `kind` says how each was made, so that we can check at the
# end what was chosen. Nothing that scores or selects reads it.

# %%
from hf_rap.demo import make_planted

ds = make_planted(120)
ds.select_columns("kind").to_pandas().value_counts().to_frame()

# %% [markdown]
# Three of them. The first cannot be answered without its picture; the second gives its answer away; of the third nobody
# can know the answer.

# %%
from IPython.display import display

for kind in ("needs_image", "text_gives_it_away", "unsolvable"):
    row = ds[ds["kind"].index(kind)]
    display(row["images"][0].resize((168, 168)))
    print(row["problem"], "->", row["answer"])

# %% [markdown]
# Which columns hold what is recognised. `inspect_dataset` reads all rows before any model does, and says which cannot be
# scored.

# %%
from hf_rap import inspect_dataset

inspect_dataset(ds)

# %% [markdown]
# ## One row by hand
#
# The model is asked the same question with its picture and without, here four times each. A reward of 1 is a right
# answer.

# %%
from hf_rap import Rollouts
from hf_rap.demo import demo_engine

engine = demo_engine()  # a small model; with a GPU: TransformersEngine("Qwen/Qwen2.5-VL-3B-Instruct")
place = ds["kind"].index("needs_image")
tried = ds.select([place]).map(Rollouts(engine, attempts=4, max_new_tokens=64), batched=True)[0]

print(tried["problem"], "->", tried["answer"])
for arm in ("image", "text"):
    print(f"\nasked with the {arm}" if arm == "image" else "\nasked on the text alone")
    for reply, reward in zip(tried[f"rap_{arm}_responses"], tried[f"rap_{arm}_rewards"], strict=True):
        print(f"{reward:.0f}  {reply}")

# %% [markdown]
# ## All rows
#
# The long step, for which you would take a GPU: every question five times in both ways. The lower bar moves with every
# answer.

# %%
evidence = ds.map(Rollouts(engine, attempts=5, max_new_tokens=64), batched=True)

# %% [markdown]
# Scores take no time and can be made again at any time. `rap_cde` is the pass rate with the picture minus that without
# it; `rap_difficulty` is 1 minus the pass rate with it. What is not known is null.

# %%
from hf_rap import add_scores, cde_score, difficulty_score

scored = add_scores(evidence, cde_score, difficulty_score)
columns = ["problem", "answer", "rap_image_rewards", "rap_text_rewards", "rap_cde", "rap_difficulty"]
scored.select(range(5)).select_columns(columns).to_pandas()

# %% [markdown]
# ## Select
#
# Rows that need their picture are kept; those that are always solved teach nothing, and hard ones take their place.

# %%
from hf_rap import select_cognitive

selection = select_cognitive(scored, min_cde=0.5)
selection

# %% [markdown]
# Was it right? The kinds, which the selection has not seen, against its reasons.

# %%
import pandas as pd

decided = selection.scored.select_columns(["kind", "rap_keep", "rap_reason"]).to_pandas()
pd.crosstab(decided["kind"], [decided["rap_keep"].map({True: "kept", False: "dropped"}), decided["rap_reason"]])

# %% [markdown]
# Five attempts are few: another scoring would not keep the same rows. How far two would agree, and with how many attempts
# more:

# %%
from hf_rap import stability

stability(scored, selection)

# %% [markdown]
# ## Publish and load
#
# A version is a folder with the rows that are kept, all rows with their reasons, and a card; `hf_rap.publish` puts the
# same on the Hub. `datasets` alone reads it.

# %%
from hf_rap import publish_to_folder

publish_to_folder(selection, "planted-rap", version="1.0.0")

# %%
from datasets import load_dataset

selected = load_dataset("planted-rap", "selected", split="train")
selected.select_columns(["problem", "answer", "rap_cde", "rap_reason"]).to_pandas().head()

# %% [markdown]
# ## The picture
#
# Each circle stands for the rows with one pair of pass rates, the larger the more rows. Below the dotted line the picture
# helps. What is kept lies there, and left of the right edge, where a row is always solved and has nothing to teach.

# %%
import matplotlib.pyplot as plt
import numpy as np

rewards = ["rap_image_rewards", "rap_text_rewards"]
rows = selection.scored.select_columns([*rewards, "rap_keep", "rap_reason"]).to_pandas().dropna()
rows["with"], rows["without"] = (rows[name].map(np.mean) for name in rewards)
rows["decision"] = rows["rap_reason"].where(rows["rap_keep"], "dropped")

figure, axes = plt.subplots(figsize=(6.4, 5.6))
axes.plot([0, 1], [0, 1], color="#888888", linestyle=":", label="the picture changes nothing")
axes.plot([0.5, 1], [0, 0.5], color="#222222", linestyle="--", label="min_cde = 0.5")
colours = {"dropped": "#BDBDBD", "image_needed": "#0072B2", "hard_replacement": "#D55E00"}
for decision, colour in colours.items():
    circles = rows[rows["decision"] == decision].groupby(["with", "without"]).size().reset_index(name="rows")
    label = f"{decision}: {circles['rows'].sum()} rows"
    axes.scatter(circles["with"], circles["without"], s=40 * circles["rows"], color=colour, label=label)
axes.set(
    xlabel="solved with the picture (share of five attempts)",
    ylabel="solved without it",
    title=f"{len(selection.selected)} of {len(ds)} rows are kept",
    xlim=(-0.1, 1.1),
    ylim=(-0.1, 1.1),
)
legend = axes.legend(loc="upper left", frameon=False)
for handle in legend.legend_handles[2:]:
    handle.set_sizes([60])

# %% [markdown]
# Next: [your own dataset](../your-data.md), and [a job](../hf-jobs.md) that does all of this on a GPU.
