#!/usr/bin/env bash
# `dmstore report`: what a browser (headless Chromium) finds on the page is what NumPy computes from exported weights, masks
# and outputs; the page loads nothing, is not wider than a phone, and takes text from outside as text.
. "$(dirname "$0")/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/digits_run.sh"

make_part() {
    "$DMSTORE_BUILD_DIR/tests/cli/make_part" "$@"
}

# ---- pages without a browser -----------------------------------------------------------------------------------------------

# 40 models of 12 examples, of which model 5 is then removed. Fit main has weights that are chosen here (target 1 has none),
# nothing is known of the level of nobias, both have held out model 5; bare has held out nothing, scored the last ones.
check_python "a small run" <<'PYTHON'
random = np.random.default_rng(8)
masks = random.random((40, 12)) < 0.5
weights = random.normal(size=(5, 12)) * (random.random((5, 12)) < 0.5)
weights[1] = 0
np.save("weights.npy", weights)
np.save("bias.npy", np.array([1, 2, 3, -9, 0.5]))
np.save("masks.npy", masks)
y = np.zeros((40, 6), np.float32)
y[:, :5] = masks @ weights.T + random.normal(size=(40, 5))
np.save("y.npy", y)
np.save("wide.npy", random.integers(0, 256, size=(12, 150, 90, 3), dtype=np.uint8))
np.save("dark.npy", np.zeros((12, 3, 2, 1), np.uint8))
for name, shape, dtype in (("flat", (12, 64), "u1"), ("deep", (12, 4, 4, 2), "u1"), ("float", (12, 4, 4), "f4"),
                           ("few", (11, 4, 4), "u1"), ("empty", (12, 0, 4), "u1")):
    np.save(name + ".npy", np.zeros(shape, dtype))
open("names.txt", "wb").write(b"</script><script>alert(1)</script>\n<b>\"q\" & 'a'\nbad \xff\x01 byte\n" + b"plain\n" * 9)
PYTHON
dmstore create small.dms --examples 12 --output y:6:f32 >/dev/null
dmstore ingest small.dms --masks masks.npy --output y=y.npy >/dev/null
dmstore rm small.dms --ids 5 >/dev/null
for fit in main nobias; do
    make_part small.dms $fit y 0 5 $fit.dmfit --weights weights.npy --bias bias.npy $([ $fit = main ] || echo --no-bias)
    dmstore merge-fits small.dms $fit.dmfit >/dev/null
done
dmstore fit small.dms --name bare --output y --lambdas 5 --holdout 0 >/dev/null
dmstore fit small.dms --name scored --output y --lambdas 5 --holdout 15 --validation 10 >/dev/null

report_small() { # FIT OPTION...
    dmstore report small.dms "$@"
}
for fit in main nobias bare scored; do
    check "a page about $fit" report_small $fit -o $fit.html
done
check_output "is said to be written" "main.html: fit main, 5 targets, 5 of them one by one" \
    report_small main -o main.html --target all
check_output "is the same when it is printed, and with other threads" "" diff <(report_small scored -o - --threads 3) scored.html
check "without held-out models there are no scores" grep -q "not known: it has held out no models" bare.html
check "nor where they were removed" grep -q "How well the fit predicts is not known: .*model 5" main.html
check_error "of which people are warned" 0 "the page has no scores" report_small main -o main.html
check_status "else there are" 1 grep -q "not known" scored.html
check "without a level there is no support" grep -q "There is no estimate of the data support" nobias.html
check "names and large pictures" report_small main -o hostile.html --target all --names names.txt --images wide.npy
check_python "the page stays as it is, whatever the names" <<'PYTHON'
import html.parser
import re
text = open("hostile.html", encoding="utf-8").read()
class Parser(html.parser.HTMLParser):
    void, open_tags, scripts = {"meta", "img", "br"}, [], 0
    def handle_starttag(self, tag, attributes):
        self.scripts += tag == "script"
        if tag not in self.void | {"path", "rect", "circle"}:
            self.open_tags.append(tag)
    def handle_startendtag(self, tag, attributes):
        pass
    def handle_endtag(self, tag):
        if tag != "rect" and tag != "circle":
            assert self.open_tags.pop() == tag, tag
parser = Parser()
parser.feed(text)
assert parser.scripts == 1 and not parser.open_tags, parser.open_tags
assert "alert(1)</script>" not in text and "&#60;/script&#62;" in text and "bad \ufffd\ufffd byte" in text
assert not re.search(r"https?://|//cdn|<link|@import|url\(", text)
PYTHON
check "black pictures" report_small main -o dark.html --images dark.npy
for file in flat deep float empty; do
    check_error "pictures of another kind: $file" 1 "expected pictures, uint8" report_small main -o x.html --images $file.npy
done
check_error "too few pictures" 1 "has 11 pictures for 12 examples" report_small main -o x.html --images few.npy
check_error "pictures of the targets" 1 "for 6 targets" report_small main -o x.html --target-images few.npy
check_error "no such target" 1 "no target 5" report_small main -o x.html --target 5
check_error "no such fit" 1 "main" report_small none -o x.html
check_error "no page" 2 "--output FILE is missing" report_small main
check_error "too many examples" 2 "at most 50" report_small main -o x.html -k 51
check_error "a page that cannot be written" 1 "nowhere" report_small main -o nowhere/x.html
check_status "leaves none behind" 2 ls x.html
dmstore create many.dms --examples 40 --output y:10000:f16 >/dev/null
check_python "ten models of 10,000 targets" <<'PYTHON'
np.save("masks.npy", np.random.default_rng(1).random((10, 40)) < 0.5)
np.save("y.npy", np.random.default_rng(2).normal(size=(10, 10000)).astype(np.float16))
PYTHON
dmstore ingest many.dms --masks masks.npy --output y=y.npy >/dev/null
dmstore rm many.dms --ids 5 >/dev/null
make_part many.dms main y 0 10000 many.dmfit && dmstore merge-fits many.dms many.dmfit >/dev/null
check "a page about 10,000 targets" dmstore report many.dms main -o many.html
check_line "is said to be of so many" "many.html: fit main, 10,000 targets, 5 of them one by one"
check "is below a megabyte" test "$(stat -c %s many.html)" -lt 1000000
check_error "all of which cannot be shown" 1 "a page has room for 24" dmstore report many.dms main -o x.html --target all

fit_two_sizes "held-out models of another size"
check_error "are an extrapolation" 0 "the held-out masks have 5 examples, those of training 10" \
    dmstore report sizes.dms main -o sizes.html
check "and the page says so" grep -q "the predictions extrapolate" sizes.html

check_python "logits" <<'PYTHON'
random = np.random.default_rng(5)
masks = random.random((200, 20)) < 0.5
np.save("masks.npy", masks)
labels = np.array([0, 2, 1, 1])
logits = random.normal(size=(200, 4, 3))
logits[:, range(4), labels] += 4 * masks[:, :4]
np.save("logits.npy", logits.astype(np.float32))
np.save("labels.npy", labels)
np.save("wrong.npy", np.array([0, 2, 1, 0]))
PYTHON
dmstore create logits.dms --examples 20 --output logits:4x3:f32 >/dev/null
dmstore ingest logits.dms --masks masks.npy --output logits=logits.npy >/dev/null
for transform in margin correct; do
    dmstore fit logits.dms --output logits --name $transform --holdout 40 --validation 40 --transform $transform \
        --labels labels.npy --lambdas 10 >/dev/null
    check "a fit of $transform" dmstore report logits.dms $transform -o $transform.html --target-labels labels.npy
    check "says that it is one" grep -q "logits, as $transform" $transform.html
    check "and has scores" grep -q '"lds": \[0\.[3-9]' $transform.html
done
check "correctness has no support" grep -q "There is no estimate of the data support: .*never below 0" correct.html
check_error "labels are needed" 1 "fit margin was made with labels" dmstore report logits.dms margin -o x.html
check_error "the same ones" 1 "another file of labels" \
    dmstore report logits.dms margin -o x.html --target-labels wrong.npy

check_python "weights of one target, of which all examples but the last have one" <<'PYTHON'
np.save("one.npy", np.append(np.ones((1, 19)), 0)[None, :20] - 0.5 * (np.arange(20) == 3))
np.save("bias.npy", np.array([99.0]))
PYTHON
dmstore import-fit sizes.dms --output y --name one --transposed --weight one.npy --bias bias.npy --holdout 20 >/dev/null
dmstore import-fit sizes.dms --output y --name theirs --transposed --weight one.npy --holdout 20 >/dev/null 2>&1
dmstore fit sizes.dms --output y --name ridge --solver ridge --lambda 0.1 --validation 20 --holdout 20 >/dev/null
for fit in one theirs ridge; do
    check "one target of $fit" dmstore report sizes.dms $fit -o $fit.html
    check_status "has no number that is none" 1 grep -qE '[> ]-?(nan|inf)\b|<(dd|small|b)>([^<]*[ ,(])?-[0-9]|e[+][0-9][0-9]<' $fit.html
done
check "weights of others are said to be theirs" grep -q "weights that another attribution method has estimated" theirs.html
check "one without a bias has neither R² nor a line of equality" \
    test "$(grep -c 'There is no R²' theirs.html),$(grep -c 'class="line same"' theirs.html)" = 1,0
check_status "and its caption does not say so" 1 grep -q "with the line of equality" theirs.html
check "the penalty of a ridge regression is told" grep -q "<dt>Penalty λ</dt><dd>0.1, the same for all targets" ridge.html
check_status "which no validation models have chosen" 1 grep -q "which chose λ" ridge.html
check_python "a figure has a plot, a bar does not fill it, targets are counted in whole numbers" <<'PYTHON'
import re
for fit in ("one", "theirs", "ridge"):
    page = open(fit + ".html", encoding="utf-8").read()
    figures = re.findall(r"<figure>(.*?)</figure>", page, re.S)
    assert figures and all("<svg" in f for f in figures), fit
    bars = re.findall(r'class="bar" x="[0-9.]+" y="[0-9.]+" width="([0-9.]+)"', page)
    assert bars and max(map(float, bars)) < 100, (fit, bars)
    for histogram in re.findall(r"<svg[^>]*><title>(?:LDS|R²|Nonzero weights of each target)</title>.*?</svg>", page, re.S):
        ticks = re.findall(r'<text class="y"[^>]*>([^<]*)<', histogram)
        assert ticks and all(t.replace(",", "").isdigit() for t in ticks), ticks
assert "Estimated data support" in open("one.html", encoding="utf-8").read()
PYTHON

# ---- in a browser ----------------------------------------------------------------------------------------------------------

browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
if [ -z "$browser" ]; then
    skip "the page in a browser" "no chromium"
    done_testing
fi

digits_run
files="--images files/train_images.npy --target-images files/images.npy --names files/train_names.txt
    --labels files/train_labels.npy --target-names files/names.txt --target-labels files/labels.npy"
check "a page about the digits" dmstore report digits.dms knn -o page.html $files

# Looks at pages, each at the widths of a phone and a desk, and prints what it found as JSON.
cat >look.py <<'PYTHON'
import html
import json
import re
import subprocess
import sys
import tempfile

SCRIPT = """
const pixels = image => {
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth, canvas.height = image.naturalHeight;
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    return [...context.getImageData(0, 0, canvas.width, canvas.height).data];
};
const texts = nodes => [...nodes].map(n => n.textContent);
const look = page => {
    const root = page.documentElement;
    const wide = [...page.querySelectorAll("main *")].filter(
        e => !e.closest("svg, script") && e.getBoundingClientRect().right > root.clientWidth + 0.5);
    return {
        client: root.clientWidth, scroll: root.scrollWidth, wide: wide.map(e => e.outerHTML.slice(0, 80)),
        letters: [...page.querySelectorAll("svg text")].map(e => e.getBoundingClientRect().height),
        sections: [...page.querySelectorAll("main > section")].map(s => s.id),
        title: page.title, heading: page.querySelector("h1").textContent,
        histograms: [...page.querySelectorAll(".bars")].map(g => ({
            low: +g.dataset.low, step: +g.dataset.step, tips: texts(g.querySelectorAll("rect title")),
            heights: [...g.querySelectorAll("rect")].map(r => r.height.baseVal.value)})),
        scatters: [...page.querySelectorAll(".points")].map(
            g => [...g.querySelectorAll("circle")].map(c => [c.cx.baseVal.value, c.cy.baseVal.value])),
        images: [...page.querySelectorAll("img")].map(
            i => ({alt: i.alt, width: i.naturalWidth, height: i.naturalHeight, pixels: pixels(i)})),
        rows: [...page.querySelectorAll(".row")].map(r => texts(r.querySelectorAll("li"))),
        figures: [...page.querySelectorAll("svg")].map(s => texts(s.querySelectorAll(":scope > title, :scope > desc"))),
        data: JSON.parse(page.getElementById("data").textContent),
    };
};
document.body.textContent = JSON.stringify([...document.querySelectorAll("iframe")].map(f => look(f.contentDocument)));
"""

browser, *paths = sys.argv[1:]
frames = ""
for path in paths:
    page = re.sub(r'<meta http-equiv="Content-Security[^>]*>', "", open(path, encoding="utf-8").read())
    frames += "".join(f'<iframe style="width:{w}px;height:2000px;border:0" srcdoc="{html.escape(page)}"></iframe>'
                      for w in (375, 1200))
with tempfile.TemporaryDirectory() as profile:
    wrapper = profile + "/wrapper.html"
    open(wrapper, "w", encoding="utf-8").write(
        f'<!DOCTYPE html><meta charset="utf-8"><body>{frames}<script>onload = () => {{{SCRIPT}}}</script>')
    run = subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir=" + profile,
                          "--window-size=1700,2000", "--dump-dom", "file://" + wrapper], capture_output=True, timeout=120)
body = re.search(r"<body>(.*)</body>", run.stdout.decode(), re.S).group(1)
print(json.dumps(json.loads(html.unescape(body))))
PYTHON
check "a browser looks at it, and at the hostile one" "$PYTHON" look.py "$browser" page.html hostile.html
cp "$stdout_file" seen.json
dmstore export-fit digits.dms knn -o knn >/dev/null
dmstore eval digits.dms knn --json >eval.json
dmstore fits digits.dms knn --targets 0:60 --json >targets.json
dmstore export digits.dms --masks masks.npy --output test_margins=margins.npy >/dev/null
cat >seen.py <<'PYTHON'
import json
import numpy as np
phone, seen, *hostile = json.load(open("seen.json"))
data, scores = seen["data"], json.load(open("eval.json"))["fits"][0]
weights, bias = np.load("knn/weight.npy").astype(float), np.load("knn/bias.npy")
PYTHON
check_python "it has all its parts, and words for each picture" <<'PYTHON'
from seen import *
assert seen["heading"] == "Fit knn of test_margins" and seen["title"] == "Datamodels: fit knn of test_margins"
assert seen["sections"] == ["fit", "scores", "scatter", "sparsity", "lambda", "support", "examples", "provenance"]
assert all(i["alt"] for i in seen["images"]) and all(len(f) == 2 and all(f) for f in seen["figures"])
assert len(seen["figures"]) == 3 + 5 + 6 + 1
PYTHON
check_python "it is no wider than the screen, and its figures can be read on a phone" <<'PYTHON'
from seen import *
for frame, width in ((phone, 375), (seen, 1200), (hostile[0], 375), (hostile[1], 1200)):
    assert width - 20 <= frame["client"] <= width, frame["client"] # a scroll bar may stand beside
    assert frame["scroll"] <= frame["client"] and not frame["wide"], frame["wide"]
    assert min(frame["letters"]) > 10, min(frame["letters"])
PYTHON
check_python "histograms are those of the scores and the weights" <<'PYTHON'
from seen import *
nonzeros = (weights != 0).sum(axis=0)
lds, r2 = ([t[s] for t in scores["targets"]] for s in ("lds", "r2"))
assert np.allclose(data["lds"], lds, atol=1e-6) and np.allclose(data["r2"], r2, atol=1e-6)
assert data["nonzeros"] == list(nonzeros) and data["targets"] == list(range(60))
assert len(seen["histograms"]) == 3
for histogram, values in zip(seen["histograms"], (lds, r2, nonzeros)):
    edges = histogram["low"] + histogram["step"] * np.arange(len(histogram["tips"]) + 1)
    counts = [int(t.split(": ")[1].split()[0]) for t in histogram["tips"]]
    assert counts == list(np.histogram(values, edges)[0]) and sum(counts) == 60, counts
    assert 5 <= len(counts) <= 40 and np.allclose(np.array(counts) / max(counts),
                                                  np.array(histogram["heights"]) / max(histogram["heights"]), atol=1e-3)
PYTHON
check_python "points are the held-out models of the targets at the quartiles" <<'PYTHON'
from seen import *
masks, y = np.load("masks.npy")[3600:], np.load("margins.npy")[3600:].astype(float)
lds = [t["lds"] for t in scores["targets"]]
ranked = sorted(range(60), key=lambda t: (lds[t], t))
assert [s["target"] for s in data["shown"]] == [ranked[59 * q // 4] for q in range(5)]
assert len(seen["scatters"]) == 5
for shown, points in zip(data["shown"], seen["scatters"]):
    t, points = shown["target"], np.array(points)
    predicted = masks.astype(float) @ weights[:, t] + bias[t]
    assert shown["models"] == list(range(3600, 4000)) and len(points) == 400
    assert np.allclose(shown["predictions"], predicted, atol=1e-5)
    assert np.allclose(shown["outputs"], y[:, t], atol=1e-6)
    for place, values in ((points[:, 0], predicted), (-points[:, 1], y[:, t])):
        assert np.corrcoef(place, values)[0, 1] > 0.99999
PYTHON
check_python "the mean path is that of all targets" <<'PYTHON'
from seen import *
paths = [t["path"] for t in json.load(open("targets.json"))["targets"]]
longest = max(len(p) for p in paths)
path = data["mean_path"]
assert len(path["errors"]) == longest
for i in range(longest):
    errors = [p[i]["error"] / p[0]["error"] for p in paths if len(p) > i]
    assert path["target_counts"][i] == len(errors) and np.isclose(path["errors"][i], np.mean(errors))
    assert np.isclose(path["lambda_ratios"][i], 0.01 ** (i / 39))
assert path["target_counts"][0] == 60 > path["target_counts"][-1]
PYTHON
check_python "the data support is that of the weights" <<'PYTHON'
from seen import *
for t in range(60):
    w, m0 = weights[:, t], bias[t] + weights[:, t].sum()
    above = np.flatnonzero(np.cumsum(np.sort(w[w > 0])[::-1]) > m0)
    assert data["support"][t] == (0 if m0 < 0 else above[0] + 1 if len(above) else None), t
assert None in data["support"] and any(data["support"])
PYTHON
check_python "the examples are those of largest weight, with their pictures" <<'PYTHON'
from seen import *
train, test = np.load("files/train_images.npy"), np.load("files/images.npy")
def grey(image):
    assert (image["width"], image["height"]) == (8, 8)
    pixels = np.array(image["pixels"]).reshape(8, 8, 4)
    assert (pixels[..., 3] == 255).all() and (pixels[..., 0] == pixels[..., 2]).all()
    return pixels[..., 0]
def scaled(picture):
    return np.floor(picture.astype(float) * 255 / 16 + 0.5)
images, rows = iter(seen["images"]), iter(seen["rows"])
names = open("files/train_names.txt").read().split("\n")
for shown in data["shown"]:
    w = weights[:, shown["target"]]
    assert (grey(next(images)) == scaled(test[shown["target"]])).all()
    for sign in (1, -1):
        order = [i for i in np.argsort(-sign * w, kind="stable") if sign * w[i] > 0][:8]
        row = next(rows)
        assert [r.split("+" if sign > 0 else "\u2212")[0] for r in row] == [f"#{i}" for i in order]
        assert all(names[i] in r for i, r in zip(order, row))
        for i in order:
            image = next(images)
            assert image["alt"] == f"Picture of training example {i}" and (grey(image) == scaled(train[i])).all()
assert next(images, None) is next(rows, None) is None
PYTHON

check_python "pictures in colour have the mean colours of what they stand for, and names are text" <<'PYTHON'
from seen import *
seen, wide = hostile[0], np.load("wide.npy").astype(float)
assert len(seen["images"]) > 10 and any("</script><script>alert(1)" in t for r in seen["rows"] for t in r)
for image in seen["images"]:
    picture = wide[int(image["alt"].split()[-1])]
    assert (image["width"], image["height"]) == (38, 64)
    pixels = np.array(image["pixels"]).reshape(64, 38, 4)[..., :3]
    ys, xs = np.arange(65) * 150 // 64, np.arange(39) * 90 // 38
    for y, x in ((0, 0), (63, 37), (20, 11)):
        mean = picture[ys[y]:ys[y + 1], xs[x]:xs[x + 1]].mean(axis=(0, 1))
        assert abs(pixels[y, x] - mean * 255 / wide.max()).max() <= 0.51
PYTHON
done_testing
