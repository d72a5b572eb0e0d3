"""Notebooks of many kinds for the harness of crashes; ``# %%`` begins a cell."""

from __future__ import annotations

NOTEBOOKS: dict[str, str] = {}

NOTEBOOKS["frames, changed in place"] = """
import numpy as np, pandas as pd, time
rng = np.random.default_rng(2)
parts = [f"{part} {size} (cm)" for part in ("sepal", "petal") for size in ("length", "width")]
df = pd.DataFrame(rng.gamma(9, 0.5, size=(150, 4)).round(1), columns=parts)
df["target"] = np.repeat([0, 1, 2], 50)
# %%
df.columns = [c.replace(" (cm)", "").replace(" ", "_") for c in df.columns]
df.loc[::7, "sepal_width"] = np.nan
df.info()
# %%
time.sleep(0.2)
df["area"] = df["petal_length"] * df["petal_width"]
df.insert(0, "id", range(len(df)))
# %%
missing = df.isna().sum()
del df["id"]
missing[missing > 0]
# %%
def clean(frame):
    frame["sepal_width"] = frame["sepal_width"].fillna(frame["sepal_width"].median())
clean(df)
df.isna().sum().sum()
# %%
time.sleep(0.1)
summary = df.groupby("target").agg(["mean", "std"]).round(3)
summary.T.head(4)
# %%
wide = df.assign(kind=df["target"].astype("category")).pivot_table(index="kind", observed=True)
report = {"rows": len(df), "columns": list(df.columns), "top": float(wide["area"].max())}
report
"""

NOTEBOOKS["arrays"] = """
import numpy as np
rng = np.random.default_rng(42)
A = rng.normal(size=(60, 60))
history = []
# %%
A += A.T
A[np.diag_indices(60)] += 60
history.append(float(A.trace()))
# %%
import time; time.sleep(0.2)
L = np.linalg.cholesky(A)
b = rng.uniform(size=60)
x = np.linalg.solve(A, b)
np.allclose(A @ x, b)
# %%
view = A[:3, :3]
view *= 0.5
A[5].sort()
history.append(float(A.sum()))
# %%
np.multiply(b, 2, out=b)
mask = b > 1
b[mask] = 0
print(mask.sum(), b.sum().round(6))
# %%
eigen = np.linalg.eigvalsh(A + A.T)
history.append(float(eigen[-1]))
history
"""

NOTEBOOKS["plots"] = """
%matplotlib inline
import matplotlib.pyplot as plt, numpy as np, time
x = np.linspace(0, 6, 200)
# %%
fig, ax = plt.subplots(figsize=(3, 2))
ax.plot(x, np.sin(x), label="sin")
ax.legend();
# %%
time.sleep(0.2)
fig, axes = plt.subplots(1, 2, figsize=(4, 2))
for k, axis in enumerate(axes):
    axis.hist(np.cos(x * (k + 1)), bins=12)
print("two histograms")
# %%
peaks = [float(v) for v in x[np.r_[False, np.diff(np.sign(np.diff(np.sin(x)))) < 0, False]]]
plt.figure(figsize=(2, 2)); plt.scatter(peaks, np.sin(peaks)); plt.title("peaks")
# %%
from IPython.display import HTML, Markdown, display
display(Markdown("**done**"))
HTML("<b>%d</b>" % len(peaks))
"""

NOTEBOOKS["model"] = """
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
X, y = load_breast_cancer(return_X_y=True)
# %%
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
# %%
import time; time.sleep(0.2)
model.fit(X_train, y_train)
# %%
score = model.score(X_test, y_test)
print(f"accuracy {score:.3f}")
# %%
weights = model[-1].coef_[0]
top = np.argsort(-np.abs(weights))[:3]
top.tolist()
# %%
from sklearn.metrics import confusion_matrix
table = confusion_matrix(y_test, model.predict(X_test))
table
"""

NOTEBOOKS["async"] = """
import asyncio, time
log = []
async def fetch(n):
    await asyncio.sleep(0.02)
    return {"n": n, "square": n * n}
# %%
pages = await asyncio.gather(*(fetch(n) for n in range(5)))
log.append(len(pages))
# %%
async def ticks(n):
    for i in range(n):
        await asyncio.sleep(0.02)
        yield i
total = 0
async for t in ticks(8):
    total += t
total
# %%
async with asyncio.timeout(5):
    squares = [p["square"] async for p in (await asyncio.sleep(0, ticks(0)))]
squares.extend(p["square"] for p in pages)
log.append(sum(squares))
# %%
queue_items = []
async def worker(q):
    while not q.empty():
        queue_items.append(await q.get())
        await asyncio.sleep(0.01)
q = asyncio.Queue()
for p in pages: q.put_nowait(p["n"])
await asyncio.gather(worker(q), worker(q))
q = None
sorted(queue_items)
# %%
log.append(queue_items.count(3))
log
"""

NOTEBOOKS["texts and classes"] = '''
import re, json, time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
TEXT = """The quick brown fox jumps over the lazy dog.
The dog sleeps; the fox does not."""
@dataclass
class Note:
    words: list[str] = field(default_factory=list)
    def add(self, word):
        self.words.append(word)
# %%
words = re.findall(r"[a-z]+", TEXT.lower())
counts = Counter(words)
note = Note()
note.add(words[0])
# %%
time.sleep(0.2)
index = defaultdict(list)
for i, w in enumerate(words):
    index[w].append(i)
note.add("indexed")
dict(list(index.items())[:2])
# %%
counts.update(["fox"] * 3)
del index["the"]
*rest, last = words
print(json.dumps(counts.most_common(2)), last)
# %%
def longest(ws, key=lambda w: (len(w), w)):
    return max(ws, key=key)
note.add(longest(rest))
note
# %%
table = {(len(w), w[0]) for w in words}
first = min(table)
f"{first} {note.words}"
'''

NOTEBOOKS["time series"] = """
import pandas as pd, numpy as np, time
np.random.seed(3)
index = pd.date_range("2024-01-01", periods=240, freq="h", tz="UTC")
series = pd.Series(np.random.randn(240).cumsum(), index=index, name="load")
# %%
daily = series.resample("D").agg(["min", "max", "mean"])
daily.head(2)
# %%
time.sleep(0.2)
series.iloc[10:20] = np.nan
series = series.interpolate()
rolled = series.rolling("6h").mean()
# %%
noise = pd.Series(np.random.rand(240), index=index)
series += noise
series.update(pd.Series([0.0], index=index[:1]))
round(float(series.sum()), 6)
# %%
frame = pd.concat({"load": series, "rolled": rolled}, axis=1)
frame["hour"] = frame.index.hour
by_hour = frame.groupby("hour")["load"].mean()
by_hour.idxmax()
# %%
frame.sort_values("load", inplace=False).tail(1)["hour"].tolist()
"""

NOTEBOOKS["files and databases"] = """
import csv, pathlib, sqlite3, time
folder = pathlib.Path("data"); folder.mkdir(exist_ok=True)
# %%
rows = [{"id": i, "name": f"p-{i}"} for i in range(20)]
with (folder / "rows.csv").open("w", newline="") as file:
    writer = csv.DictWriter(file, ["id", "name"]); writer.writeheader(); writer.writerows(rows)
# %%
time.sleep(0.2)
db = sqlite3.connect("data/rows.sqlite")
db.execute("DROP TABLE IF EXISTS people")
db.execute("CREATE TABLE people (id INTEGER, name TEXT)")
db.executemany("INSERT INTO people VALUES (:id, :name)", rows); db.commit()
db.close()
# %%
with sqlite3.connect("data/rows.sqlite") as again:
    found = again.execute("SELECT count(*), max(name) FROM people").fetchone()
found
# %%
!wc -l < data/rows.csv
size = (folder / "rows.csv").stat().st_size
listing = !ls data
sorted(listing)
# %%
for row in rows:
    row["name"] = row["name"].upper()
rows[0], size
"""

NOTEBOOKS["simulation"] = """
import heapq, random, time
from collections import deque
rng = random.Random(7)
random.seed(8)
events, done = [], []
# %%
for i in range(12):
    heapq.heappush(events, (round(rng.random(), 6), i))
window = deque(maxlen=4)
# %%
time.sleep(0.2)
while len(events) > 6:
    at, who = heapq.heappop(events)
    window.append(who)
    done.append(at)
len(done)
# %%
random.shuffle(done)
draw = random.sample(range(100), 3)
print(draw, list(window))
# %%
class Account:
    total = 0
    def __init__(self, owner): self.owner = owner
balance = {"a": 1.0, "b": 2.0}
for key in balance: balance[key] += rng.gauss(0, 1)
# %%
rounded = {k: round(v, 6) for k, v in balance.items()}
rounded | {"next": round(rng.random(), 6), "p": random.random()}
"""

NOTEBOOKS["training by hand"] = """
import numpy as np, time
rng = np.random.default_rng(0)
X = rng.normal(size=(200, 3)); true = np.array([1.5, -2.0, 0.5]); y = X @ true
w = np.zeros(3); losses = []
# %%
def epoch(w, rate=0.1):
    grad = 2 * X.T @ (X @ w - y) / len(y)
    w -= rate * grad
    return float(((X @ w - y) ** 2).mean())
# %%
for _ in range(20):
    losses.append(epoch(w))
    time.sleep(0.01)
# %%
best, step = min((loss, i) for i, loss in enumerate(losses))
checkpoint = w.copy()
w[:] = 0
# %%
for _ in range(5): losses.append(epoch(w, rate=0.2))
np.round(checkpoint, 3), len(losses)
# %%
state = {"w": w, "losses": losses, "checkpoint": checkpoint}
state["w"] is w
"""

NOTEBOOKS["clusters"] = """
import numpy as np, time
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA
X, truth = make_blobs(n_samples=150, centers=3, n_features=5, random_state=1)
# %%
pca = PCA(n_components=2, random_state=0)
flat = pca.fit_transform(X)
flat.shape
# %%
time.sleep(0.2)
km = KMeans(n_clusters=3, n_init=2, random_state=0)
km.set_params(n_init=3)
km.fit(flat)
# %%
labels = km.labels_
sizes = np.bincount(labels)
sorted(sizes.tolist())
# %%
centres = pca.inverse_transform(km.cluster_centers_)
np.round(np.linalg.norm(centres, axis=1).sum(), 4)
# %%
from sklearn.metrics import silhouette_score
score = silhouette_score(flat, km.predict(flat)); round(float(score), 6)
"""

NOTEBOOKS["progress and warnings"] = """
import sys, time, warnings, logging
from tqdm import tqdm
from tqdm.notebook import tqdm as bar
seen = set()
# %%
for i in bar(range(10), desc="first"):
    seen.add(i % 4); time.sleep(0.01)
# %%
for i in tqdm(range(10), file=sys.stdout, bar_format="{l_bar}{n_fmt}"):
    time.sleep(0.01)
logging.warning("half way %d", len(seen))
# %%
warnings.simplefilter("ignore")
seen |= {10}
seen.discard(0)
print("to err", file=sys.stderr)
# %%
del i
match sorted(seen):
    case [low, *middle, high]: print(low, middle, high)
"""
