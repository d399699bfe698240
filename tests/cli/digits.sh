#!/usr/bin/env bash
# The demonstration's trainer: the images are parted as it says, margins are those of an independent computation, and what
# workers leave in a store does not depend on how the work was divided, interrupted or repeated.
source "$(dirname "$0")/tap.sh"
source "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"

digits=$DMSTORE_BUILD_DIR/tools/demo/digits
if [ ! -x "$digits" ]; then
    echo "1..0 # SKIP no tools/demo/digits in the build tree"
    exit 0
fi

gzip -dc "$DMSTORE_SOURCE_DIR/tools/demo/digits.csv.gz" >digits.csv

# create_digits STORE [OPTION...]
create_digits() {
    dmstore create "$1" --examples 1400 --chunk-rows 64 --output test_margins:397:f32 --scalar accuracy:f32 "${@:2}" >/dev/null
}

# train STORE OPTION...
train() {
    "$digits" train "$1" --data digits.csv "${@:2}"
}

# export_digits STORE DIR [OUTPUT...]: what is in the store, as files; these outputs, too.
export_digits() {
    local output outputs=()
    for output in test_margins "${@:3}"; do
        outputs+=(--output "$output=$2/$output.npy")
    done
    mkdir "$2" && dmstore export "$1" --ids "$2/ids.npy" --masks "$2/masks.npy" "${outputs[@]}" \
        --scalar accuracy="$2/accuracy.npy" >/dev/null
}

# check_same_models DESCRIPTION STORE: its models are those of the directory `expected`, to the byte.
check_same_models() {
    rm -rf actual
    export_digits "$2" actual && run diff -r expected actual
    if [ "$status" -eq 0 ]; then
        pass "$1"
    else
        fail "$1" "$(cat "$stdout_file" "$stderr_file")"
    fi
}

# --- the images ---------------------------------------------------------------------------------------------------------

check "files writes images, labels and names" "$digits" files --data digits.csv -o files
check_python "140 of each digit are for training, the others are targets, in the order of the file" <<'PYTHON'
data = np.loadtxt('digits.csv', delimiter=',', dtype=int)
assert len(np.unique(data[:, :64], axis=0)) == len(data) == 1797
lines = {}
for kind, count in ('', 397), ('train_', 1400):
    images, labels = np.load(f'files/{kind}images.npy'), np.load(f'files/{kind}labels.npy')
    names = open(f'files/{kind}names.txt').read().splitlines()
    lines[kind] = [int(name.split()[2].rstrip(')')) for name in names]
    assert images.shape == (count, 8, 8) and labels.shape == (count,) and len(names) == count
    assert sorted(lines[kind]) == lines[kind]
    for i, line in enumerate(lines[kind]):
        assert (images[i].ravel() == data[line - 1, :64]).all() and labels[i] == data[line - 1, 64]
        assert names[i].startswith(f'{labels[i]} ')
assert sorted(lines[''] + lines['train_']) == list(range(1, 1798))
assert (np.bincount(np.load('files/train_labels.npy')) == 140).all()
# The targets of a digit are spread over the file: no stretch of ten images is without one.
for digit in range(10):
    is_target = [line in lines[''] for line in range(1, 1798) if data[line - 1, 64] == digit]
    assert all(any(is_target[i:i + 10]) for i in range(len(is_target) - 10))
PYTHON

# --- the models ---------------------------------------------------------------------------------------------------------

# Both learning algorithms as their source files describe them, written down again. Set: model, training images, targets,
# masks, scores(queries) -> models x queries x 10.
cat >models.py <<'PYTHON'
X, y = np.load('files/train_images.npy').reshape(-1, 64).astype(float), np.load('files/train_labels.npy')
T, t = np.load('files/images.npy').reshape(-1, 64).astype(float), np.load('files/labels.npy')

def knn(mask, queries):
    distances = ((queries[:, None, :] - X[None, mask]) ** 2).sum(2)
    labels = y[mask]
    scores = np.zeros((len(queries), 10))
    for q, row in enumerate(distances):
        for i in np.argsort(row, kind='stable')[:10]:
            scores[q, labels[i]] += np.exp(-row[i] / 800) / 10
    return scores

def ridge(mask, queries):
    A = np.hstack([X[mask] / 16, np.ones((mask.sum(), 1))])
    Y = np.where(y[mask][:, None] == np.arange(10), 1.0, -1.0)
    W = np.linalg.solve(A.T @ A + np.eye(65), A.T @ Y)
    return np.hstack([queries / 16, np.ones((len(queries), 1))]) @ W

def margins(scores, labels):
    rows = np.arange(len(labels))
    others = scores.copy()
    others[rows, labels] = -np.inf
    return scores[rows, labels] - others.max(1)

def check(directory, learner):
    masks = np.load(f'{directory}/masks.npy')
    for i in range(len(masks)):
        scores = learner(masks[i], T)
        assert np.abs(np.load(f'{directory}/test_logits.npy')[i] - scores).max() < 1e-5
        assert np.abs(np.load(f'{directory}/test_margins.npy')[i] - margins(scores, t)).max() < 1e-5
        trained = margins(learner(masks[i], X), y)
        stored = np.load(f'{directory}/train_margins.npy')[i]
        assert stored.dtype == np.float16 and np.abs(stored - trained).max() <= 1e-3 * np.abs(trained).max()
        assert np.load(f'{directory}/accuracy.npy')[i] == np.float32((margins(scores, t) > 0).mean())
PYTHON

wide=(--output test_logits:397x10:f32 --output train_margins:1400:f16)
create_digits knn.dms "${wide[@]}"
check "ten neighbour models are trained" train knn.dms --ids 0:10 --seed 3
export_digits knn.dms knn test_logits train_margins
check_python "their scores, margins and accuracy are those of an independent computation" <<'PYTHON'
exec(open('models.py').read())
check('knn', knn)
assert (np.load('knn/accuracy.npy') > 0.95).all()
PYTHON
create_digits ridge.dms "${wide[@]}"
check "ten ridge models are trained on a tenth of the images" train ridge.dms --model ridge --ids 0:10 --seed 3 --alpha 0.1
export_digits ridge.dms ridge test_logits train_margins
check_python "so are theirs" <<'PYTHON'
exec(open('models.py').read())
check('ridge', ridge)
assert (np.load('ridge/accuracy.npy') > 0.8).all()
PYTHON

dmstore sample --examples 1400 --alpha 0.5 --seed 3 --count 10 -o sampled.npy
check_same "subsets are those of dmstore sample" sampled.npy knn/masks.npy

# --- workers ------------------------------------------------------------------------------------------------------------

create_digits whole.dms
check "a worker trains 120 models" train whole.dms --ids 0:120 --seed 3
check_printed "and says so" "models 0 to 119: 120 trained"
export_digits whole.dms expected

create_digits parted.dms
train parted.dms --ids 20:50 --seed 3 --batch 7 >/dev/null
train parted.dms --ids 100:101 --seed 3 >/dev/null
check "what is there already is left alone" train parted.dms --ids 0:120 --seed 3
check_printed "and counted" "89 trained"
check_printed "too" "31 were there"
check_same_models "a store made in parts is the same" parted.dms

create_digits shared.dms
train shared.dms --ids 0:70 --seed 3 --batch 8 >/dev/null &
first=$!
train shared.dms --ids 50:120 --seed 3 --batch 16 >/dev/null &
second=$!
check "a worker ends well beside another one" wait $first
check "and so does the other" wait $second
check_same_models "two workers at once make the same store, some models trained by both" shared.dms

create_digits killed.dms
train killed.dms --ids 0:120 --seed 3 --batch 1 >/dev/null 2>&1 &
killed=$!
while kill -0 $killed 2>/dev/null && [ "$(dmstore missing killed.dms --count 20)" = 0-19 ]; do
    sleep 0.01
done
kill -9 $killed 2>/dev/null
wait $killed 2>/dev/null
check "a worker that was killed is started again" train killed.dms --ids 0:120 --seed 3
check "its store is good" dmstore verify killed.dms
check_same_models "and has the same models" killed.dms

create_digits claimed.dms
check "models can be kept with the seed of their masks" train claimed.dms --ids 0:120 --seed 3 --sampled
check_same_models "and are the same" claimed.dms
dmstore seal claimed.dms >/dev/null
run dmstore ls claimed.dms
check_printed "their masks are not stored" "sampled/"

# --- given masks --------------------------------------------------------------------------------------------------------

python <<'PYTHON'
masks = np.load('expected/masks.npy')[[5, 5, 9]].copy()
masks[2, :700] = False
np.save('given.npy', masks)
np.save('packed.npy', np.packbits(masks, axis=1, bitorder='little'))
np.save('none.npy', np.zeros((1, 1400), bool))
np.save('twos.npy', np.full((1, 1400), 2, np.uint8))
np.save('narrow.npy', masks[:, :1399])
PYTHON
create_digits given.dms "${wide[@]}"
check "models are trained on the masks of a file" train given.dms --masks given.npy --ids 0:3
check "whose rows are numbered as one likes, packed" train given.dms --masks packed.npy --first-id 1000 --ids 1000:1003
check "also on no image at all" train given.dms --masks none.npy --first-id 7 --ids 7:8
export_digits given.dms given test_logits train_margins
check_python "equal masks give equal models, no image gives no margin, and the masks are those of the files" <<'PYTHON'
exec(open('models.py').read())
ids, masks, test = (np.load(f'given/{name}.npy') for name in ('ids', 'masks', 'test_margins'))
assert ids.tolist() == [0, 1, 2, 7, 1000, 1001, 1002]
assert (masks[[0, 1, 2]] == np.load('given.npy')).all() and (masks[4:] == masks[:3]).all()
assert (test[0] == test[1]).all() and (test[4:] == test[:3]).all() and (test[3] == 0).all()
assert (test[0] == np.load('expected/test_margins.npy')[5]).all()
check('given', knn)
PYTHON

# --- pictures -------------------------------------------------------------------------------------------------------------

dmstore fit whole.dms --output test_margins --name few --targets 3:6 --holdout 10 --validation 20 --lambdas 10 \
    --lambda-min-ratio 0.3 >/dev/null
dmstore export-fit whole.dms few -o few >/dev/null
check "a target is drawn" "$digits" show whole.dms few --data digits.csv --target 4
cp "$stdout_file" picture.txt
check_python "beside the images with the largest and the smallest weights" <<'PYTHON'
lines = open('picture.txt').read().splitlines()
weights = np.load('few/weight.npy')[:, np.load('few/targets.npy').tolist().index(4)]
train, labels = np.load('files/train_images.npy'), np.load('files/train_labels.npy')

def cells(first, count):
    """The picture's cells from this line on: caption, drawing."""
    rows = [line.ljust(72) for line in lines[first:first + 9]]
    return [(rows[0][at + 2:at + 18].strip(), [row[at + 2:at + 18] for row in rows[1:]]) for at in range(0, 18 * count, 18)]

def drawing(image):
    return [''.join(2 * ' .+#@'[(int(ink) * 4 + 8) // 16] for ink in row) for row in image]

def expected(example):
    if example is None:
        return '', [' ' * 16] * 8
    return f'{labels[example]}  {weights[example]:+.4f} #{example}', drawing(train[example])

assert lines[0].startswith(f"Target 4, a {np.load('files/labels.npy')[4]}: ")
assert f'{np.count_nonzero(weights)} training images' in lines[0]
order = np.argsort(-weights)
helpful = [expected(i if weights[i] > 0 else None) for i in order[:3]]
harmful = [expected(i if weights[i] < 0 else None) for i in order[:-4:-1]]
assert weights[order[0]] > 0 and weights[order[-1]] < 0
target, *beside = cells(2, 4)
assert target[1] == drawing(np.load('files/images.npy')[4]) and beside == helpful
assert cells(12, 4)[1:] == harmful
PYTHON
check "without --target" "$digits" show whole.dms few --data digits.csv --count 1
first=$(head -n 1 "$stdout_file")
check_python "it is the one that a single image harms most" "$first" <<'PYTHON'
weights, targets = np.load('few/weight.npy'), np.load('few/targets.npy')
assert sys.argv[1].startswith(f'Target {targets[weights.min(0).argmin()]}, ')
PYTHON
if LC_ALL=C.UTF-8 locale charmap 2>/dev/null | grep -qx UTF-8; then
    LC_ALL=C.UTF-8 "$digits" show whole.dms few --data digits.csv --target 4 |
        sed 's/█/@/g; s/▓/#/g; s/▒/+/g; s/░/./g' >blocks.txt
    check_same "in a UTF-8 locale with blocks" picture.txt blocks.txt
else
    skip "in a UTF-8 locale with blocks" "no such locale"
fi

# --- what is wrong is refused ---------------------------------------------------------------------------------------------

check_error "ids beyond the file" 1 "models 0 to 2 only" train given.dms --masks given.npy --ids 0:4
check_error "ids before the file" 1 "models 9 to 11 only" train given.dms --masks given.npy --first-id 9 --ids 0:3
check_error "a mask with a 2" 1 "is not a mask value" train given.dms --masks twos.npy --first-id 50 --ids 50:51
check_error "masks of another training set" 1 "masks of another training set" train given.dms --masks narrow.npy --ids 0:3
dmstore create small.dms --examples 20 --output test_margins:397 >/dev/null
check_error "a store of another training set" 1 "--examples 1400" train small.dms --ids 0:1 --seed 1
dmstore create other.dms --examples 1400 --output other:397 >/dev/null
check_error "a store without a column to fill" 1 "no column that a model could fill" train other.dms --ids 0:1 --seed 1
dmstore create wrong.dms --examples 1400 --output test_margins:398 >/dev/null
check_error "a column of another shape" 1 "expected 397 values" train wrong.dms --ids 0:1 --seed 1
check_error "images that are still compressed" 1 "line 1: expected 64 pixels" \
    "$digits" train whole.dms --data "$DMSTORE_SOURCE_DIR/tools/demo/digits.csv.gz" --ids 0:1 --seed 1
head -n 1000 digits.csv >part.csv
check_error "too few images" 1 "more than 140 are needed" "$digits" train whole.dms --data part.csv --ids 0:1 --seed 1
check_error "a target that was not fitted" 1 "no target 9" "$digits" show whole.dms few --data digits.csv --target 9
check_error "no such fit" 1 "few" "$digits" show whole.dms other --data digits.csv
check_error "no such store" 1 "none.dms" train none.dms --ids 0:1 --seed 1
check_error "an empty range" 2 "--ids" train whole.dms --ids 5:5 --seed 1
check_error "no seed" 2 "--seed" train whole.dms --ids 0:1
check_error "two sources of masks" 2 "--masks is instead" train whole.dms --ids 0:1 --seed 1 --masks given.npy
mkdir plan
cp given.npy plan/masks.npy
printf 'id,target,k,repeat,kind,label\n60,,0,0,control,\n61,3,9,0,relabel,10\n62,3,9,0,relabel,4\n' >plan/plan.csv
check_error "models that a plan does not have" 1 "the plan has models 60 to 62 only" train given.dms --plan plan --ids 60:64
check_error "a label that is no digit" 1 "model 61: there is no digit 10" train given.dms --plan plan --ids 61:62
check "a part of a plan" train given.dms --plan plan --ids 62:63
check_error "a plan and a seed" 2 "--plan is instead" train given.dms --plan plan --seed 1
check_error "the wrong usage names this program" 2 "digits train --help" train whole.dms
check_status "no command" 2 "$digits"
check "help" "$digits" --help
check_printed "names the commands" "train"
done_testing
