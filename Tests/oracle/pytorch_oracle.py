"""Compares motc with the same models written in PyTorch: logits, losses and all gradients.

A case is a spec for motc and a JSON of sizes for this file, which knows nothing else of the model:
names and shapes of parameters, data and mathematics are its own. PyTorch computes in float64.

    python3 pytorch_oracle.py --motc .build/release/motc [CASE ...]

B sequences of S tokens, T = B * S rows, D width, H query heads, G key and value heads, W head width. Where modalities
differ in width, rows are as wide as the widest, and 0 beyond their own width.
"""

import argparse
import json
import math
import pathlib
import subprocess
import sys
import tempfile

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

CASES = pathlib.Path(__file__).parent / "cases"
EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
IGNORED = -100
# What a case has if it says nothing else.
DEFAULTS = {
    "widths": {}, "hiddens": {}, "activation": "silu", "attends": {}, "counts_per_span": [], "epsilon": 1e-5,
    "query_key_epsilon": 1e-5, "rope_base": 10_000.0, "norm_adds_one": False, "scaled_embedding": False,
    "example": None, "spans": [],
}
# Relative to the norm of what PyTorch says: f32 with its sums in another order.
TOLERANCE = 1e-5


class Model:
    """The model of one case; `parameters` are created when a name is first asked for."""

    def __init__(self, sizes, seed):
        self.sizes = sizes
        self.parameters = {}
        self.generator = torch.Generator().manual_seed(seed)
        self.names = list(sizes["modalities"])

    # Parameters

    def parameter(self, name, shape, spread, mean=0.0):
        """Returns the parameter `name`, rounded to what an f32 file can hold."""
        if name not in self.parameters:
            value = mean + spread * torch.randn(shape, generator=self.generator, dtype=torch.float64)
            self.parameters[name] = value.float().double().requires_grad_()
        return self.parameters[name]

    def towers(self, name, component):
        """Yields (parameter name, rows that take it, their modalities); a tied one serves all rows."""
        groups = self.sizes["untied"].get(component)
        if groups is None:
            yield name, torch.arange(len(self.modality)), list(self.sizes["modalities"])
            return
        stem, last = name.rsplit(".", 1)
        for group in groups:
            members = torch.tensor([self.names.index(modality) for modality in group])
            rows = torch.isin(self.modality, members).nonzero().flatten()
            yield f"{stem}.{'+'.join(group)}.{last}", rows, group

    def width(self, group):
        """Returns the width of the rows of some modalities, which is the same for all of them."""
        return self.sizes["widths"].get(group[0], self.sizes["width"])

    def hidden(self, group):
        return self.sizes["hiddens"].get(group[0], self.sizes["hidden"])

    # Layers: x is [T, D]

    def linear(self, x, name, inputs, outputs, component):
        """Maps rows; their widths before and after are functions of the modalities."""
        widest = max(outputs([name]) for name in self.names)
        out = x.new_zeros(len(x), widest)
        for full, rows, group in self.towers(f"{name}.weight", component):
            depth, width = inputs(group), outputs(group)
            weight = self.parameter(full, (width, depth), depth**-0.5)
            out = out.index_add(0, rows, F.pad(x[rows, :depth] @ weight.T, (0, widest - width)))
        if self.sizes["bias"] is True or (self.sizes["bias"] == "qkv" and component in ("q", "k", "v")):
            for full, rows, group in self.towers(f"{name}.bias", component):
                bias = F.pad(self.parameter(full, (outputs(group),), 0.3), (0, widest - outputs(group)))
                out = out.index_add(0, rows, bias.expand(len(rows), widest))
        return out

    def norm(self, x, name, component="norm", heads=1):
        epsilon = self.sizes["epsilon" if component == "norm" else "query_key_epsilon"]
        adds_one = self.sizes["norm_adds_one"] and component == "norm"
        out = torch.zeros_like(x)
        for full, rows, group in self.towers(f"{name}.weight", component):
            width = self.width(group) if component == "norm" else x.shape[1]
            parts = x[rows, :width].view(len(rows), heads, width // heads)
            normal = parts * torch.rsqrt(parts.square().mean(-1, keepdim=True) + epsilon)
            gain = self.parameter(full, (width // heads,), 0.3, mean=0.0 if adds_one else 1.0)
            result = (normal * (1 + gain if adds_one else gain)).reshape(len(rows), width)
            out = out.index_add(0, rows, F.pad(result, (0, x.shape[1] - width)))
        return out

    def rotate(self, x, heads):
        width = self.sizes["head_width"]
        half = torch.arange(width // 2, dtype=torch.float64)
        angles = self.positions.double()[:, None] * self.sizes["rope_base"] ** (-2 * half / width)
        cos, sin = angles.cos()[:, None], angles.sin()[:, None]
        x = x.view(len(x), heads, width)
        if self.sizes["rope"] == "interleaved":
            a, b = x[..., 0::2], x[..., 1::2]
            turned = torch.stack((a * cos - b * sin, a * sin + b * cos), -1)
        else:
            a, b = x[..., : width // 2], x[..., width // 2 :]
            turned = torch.cat((a * cos - b * sin, a * sin + b * cos), -1)
        return turned.reshape(len(x), heads * width)

    def placed(self, x, name, heads):
        when = self.sizes["query_key_norm"]
        if when == "before_rope":
            x = self.norm(x, name, "query_key_norm", heads)
        x = self.rotate(x, heads)
        if when == "after_rope":
            x = self.norm(x, name, "query_key_norm", heads)
        return x

    def sees(self):
        """Returns which row sees which: [B, 1, S, S]."""
        shape = (self.sizes["batch"], 1, self.sizes["sequence"])
        order = torch.arange(shape[2])
        mask = (order[None, :] <= order[:, None]).expand(shape[0], 1, -1, -1)
        segments = self.segments.view(shape)
        inside = (segments[..., :, None] == segments[..., None, :]) & (segments[..., None, :] > 0)
        isolated, hidden = (
            torch.isin(self.modality, torch.tensor([self.names.index(m) for m in self.attending(*kinds)] or [-2]))
            for kinds in (("isolated", "alone"), ("hidden", "alone"))
        )
        mask = mask & ~isolated.view(shape)[..., :, None] & ~hidden.view(shape)[..., None, :]
        documents = self.documents.view(shape)
        return (mask | inside) & (documents[..., :, None] == documents[..., None, :])

    def attending(self, *kinds):
        return [name for name, kind in self.sizes["attends"].items() if kind in kinds]

    def attention(self, x, name):
        heads, shared, width = (self.sizes[k] for k in ("heads", "key_value_heads", "head_width"))
        batch, sequence = self.sizes["batch"], self.sizes["sequence"]
        def project(which, count):
            return self.linear(x, f"{name}.{which}", self.width, lambda _: count * width, which)

        q = self.placed(project("q", heads), f"{name}.q_norm", heads)
        k = self.placed(project("k", shared), f"{name}.k_norm", shared)
        v = project("v", shared)

        def split(rows, count):
            rows = rows.view(batch, sequence, count, width).transpose(1, 2)
            return rows.repeat_interleave(heads // count, dim=1)

        q, k, v = split(q, heads), split(k, shared), split(v, shared)
        scores = (q @ k.transpose(2, 3)) * width**-0.5
        weights = scores.masked_fill(~self.sees(), float("-inf")).softmax(-1)
        merged = (weights @ v).transpose(1, 2).reshape(len(x), heads * width)
        return self.linear(merged, f"{name}.o", lambda _: heads * width, self.width, "o")

    def experts(self, x, name):
        """Each group's router and experts, on the rows of its modalities; padding takes part nowhere."""
        sizes = self.sizes["experts"]
        out = torch.zeros_like(x)
        for full, rows, _ in self.towers(f"{name}.router.weight", "feed_forward"):
            rows = rows[self.modality[rows] >= 0]
            router = self.parameter(full, (sizes["count"], x.shape[1]), x.shape[1] ** -0.5)
            # In the order in which motc has them: modality after modality.
            rows = rows[torch.argsort(self.modality[rows], stable=True)]
            scores = x[rows] @ router.T
            gates = scores.softmax(-1)
            chosen = self.chosen(gates.detach(), sizes)
            if "top" in sizes:
                share = chosen.double().mean(0) / sizes["top"]
                self.router_losses["balance"] += sizes["count"] * (share * gates.mean(0)).sum()
                self.router_losses["z"] += scores.logsumexp(-1).square().mean()
                gates = gates * chosen / (gates * chosen).sum(-1, keepdim=True)
            for expert in range(sizes["count"]):
                taken = chosen[:, expert]
                y = self.expert(x[rows[taken]], name, expert, full)
                out = out.index_add(0, rows[taken], y * gates[taken, expert, None])
        return out

    def expert(self, x, name, number, router):
        """One expert's network, of the same group as `router`."""
        group = router.removeprefix(f"{name}.router").removesuffix("weight")
        hidden, width = self.sizes["hidden"], x.shape[1]

        def weight(part, rows, columns):
            full = f"{name}.expert.{number}.{part}{group}weight"
            return self.parameter(full, (rows, columns), columns**-0.5)

        gate, up = x @ weight("gate", hidden, width).T, x @ weight("up", hidden, width).T
        return (F.silu(gate) * up) @ weight("down", width, hidden).T

    def chosen(self, gates, sizes):
        """Returns which token goes to which expert: [n, E]."""
        chosen = torch.zeros_like(gates, dtype=torch.bool)
        if "top" in sizes:
            return chosen.scatter(1, gates.topk(sizes["top"], dim=1).indices, True)
        count = min(len(gates), math.ceil(sizes["capacity"] * len(gates) / sizes["count"]))
        return chosen.scatter(0, gates.topk(count, dim=0).indices, True)

    def feed_forward(self, x, name):
        if "experts" in self.sizes:
            return self.experts(x, name)
        gate = self.linear(x, f"{name}.gate", self.width, self.hidden, "feed_forward")
        up = self.linear(x, f"{name}.up", self.width, self.hidden, "feed_forward")
        acted = F.silu(gate) if self.sizes["activation"] == "silu" else F.gelu(gate, approximate="tanh")
        return self.linear(acted * up, f"{name}.down", self.hidden, self.width, "feed_forward")

    def residual(self, x, layer, name):
        where = self.sizes["norms"]
        y = self.norm(x, f"{name}_norm") if where in ("before", "both") else x
        y = layer(y, name)
        if where != "before":
            y = self.norm(y, f"{name}_norm" if where == "after" else f"{name}_post_norm")
        return x + y

    # Continuous tokens: N of C numbers, in spans that have a time each

    def only(self, x, name, width, modality, bias=True):
        """Returns a linear map of rows that one modality alone has."""
        weight = self.parameter(f"{name}.{modality}.weight", (width, x.shape[1]), x.shape[1] ** -0.5)
        y = x @ weight.T
        return y + self.parameter(f"{name}.{modality}.bias", (width,), 0.3) if bias else y

    def factors(self, schedule, time):
        """Returns how much of a token and how much noise there is at `time`."""
        if schedule == "flow":
            return 1 - time, time
        if schedule == "cosine":
            return (math.pi / 2 * time).cos(), (math.pi / 2 * time).sin()
        # The integral of rates that grow from 0.1 to 20.
        power = (-(0.1 * time + (20 - 0.1) / 2 * time**2)).exp()
        return power.sqrt(), (1 - power).sqrt()

    def embedded(self, modality, tokens, noisy):
        """Returns the rows of the tokens of a continuous modality."""
        x, time = tokens["latents"], tokens["time"][:, None]
        if noisy:
            signal, noise = self.factors(self.sizes["continuous"][modality]["schedule"], time)
            x = signal * x + noise * tokens["noise"]
        width = self.sizes["width"]
        angles = time * self.parameter(f"embedding.time.{modality}.frequencies", (32,), 5.0)
        hidden = self.only(angles.sin(), "embedding.time.sine", width, modality, bias=False)
        hidden = hidden + self.only(angles.cos(), "embedding.time.cosine", width, modality)
        time = self.only(F.silu(hidden), "embedding.time.out", width, modality)
        return self.only(x, "embedding.patch", width, modality) + time

    def wanted(self, modality, tokens):
        """Returns what is to be said of the tokens of a continuous modality."""
        kind = self.sizes["continuous"][modality]
        if kind["predict"] == "noise":
            return tokens["noise"]
        if kind["schedule"] == "flow":
            return tokens["noise"] - tokens["latents"]
        signal, noise = self.factors(kind["schedule"], tokens["time"][:, None])
        return signal * tokens["noise"] - noise * tokens["latents"]

    # Outputs

    def logits(self, data, noisy):
        """Returns [T, V] for the rows of `data`, and what is said of continuous tokens: as they are, or noisy."""
        self.modality, self.positions = data["modality"], data["positions"]
        self.segments, self.documents = data["segments"], data["documents"]
        names = ("balance", "z") if "top" in self.sizes.get("experts", {}) else ()
        self.router_losses = dict.fromkeys(names, 0.0)
        vocabulary = max(end for _, end in self.sizes["modalities"].values())
        shape = (vocabulary, self.sizes["width"])
        table = self.parameter("embedding.weight", shape, 0.3)
        x = table[data["tokens"].clamp(min=0)] * (data["tokens"] >= 0)[:, None]
        for modality, tokens in data["continuous"].items():
            x = x.index_add(0, tokens["rows"], self.embedded(modality, tokens, noisy))
        x = self.projected(x, "embedding.projection", lambda _: shape[1], self.width)
        if self.sizes["scaled_embedding"]:
            own = torch.tensor([self.width([name]) == shape[1] for name in self.names])
            x = torch.where(own[self.modality][:, None], x * shape[1] ** 0.5, x)
        for index in range(self.sizes["layers"]):
            x = self.residual(x, self.attention, f"layers.{index}.attention")
            x = self.residual(x, self.feed_forward, f"layers.{index}.feed_forward")
        x = self.norm(x, "norm")
        x = self.projected(x, "head.projection", self.width, lambda _: shape[1])
        head = table if self.sizes["tied_head"] else self.parameter("head.weight", shape, 0.2)
        said = {
            modality: self.only(
                x[tokens["rows"]], "head.patch", tokens["latents"].shape[1], modality
            )
            for modality, tokens in data["continuous"].items()
        }
        return x @ head.T, said

    def projected(self, x, name, inputs, outputs):
        """Returns rows with those of another width than the model's mapped."""
        out = x
        for full, rows, group in self.towers(f"{name}.weight", "projection") if self.sizes["widths"] else ():
            weight = self.parameter(full, (outputs(group), inputs(group)), inputs(group) ** -0.5)
            mapped = x[rows, : inputs(group)] @ weight.T
            out = out.index_copy(0, rows, F.pad(mapped, (0, x.shape[1] - mapped.shape[1])))
        return out

    def losses(self, logits, said, data):
        """Returns the total and each objective's mean: over its targets that are not ignored, or its tokens."""
        targets = data["targets"]
        each = F.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="none")
        named, total = {}, 0.0
        for objective in self.sizes["objectives"]:
            chosen = torch.zeros_like(targets, dtype=torch.bool)
            for first, end in (self.sizes["modalities"][name] for name in objective["on"]):
                chosen |= (targets >= first) & (targets < end)
            mean = (each * chosen).sum() / chosen.sum().clamp(min=1)
            if objective["on"][0] in said:
                (modality,) = objective["on"]
                wanted = self.wanted(modality, data["continuous"][modality])
                mean = (said[modality] - wanted).square().sum() / max(1, wanted.numel())
            named[f"loss.{objective['name']}"] = mean
            total = total + objective["weight"] * mean
        for name, loss in self.router_losses.items():
            named[f"loss.{name}"] = loss
            total = total + self.sizes["experts"][name] * loss
        return {"loss": total, **named}


def rows_of_data(sizes, seed):
    """Returns random rows [T]: spans of modalities, two documents a sequence where asked for."""
    generator = torch.Generator().manual_seed(seed)

    def draw(end):
        return int(torch.randint(end, (), generator=generator))

    data = {k: [] for k in ("tokens", "modality", "targets", "positions", "documents", "segments")}
    wheel = [name for name, share in sizes["data"]["share"].items() for _ in range(share)]
    names, sequence = list(sizes["modalities"]), sizes["sequence"]
    segment = 0
    for _ in range(sizes["batch"]):
        modality, left, position, end = None, 0, 0, sequence - sizes["data"]["padding"]
        cut = 1 + draw(end - 1) if sizes["documents"] else end
        for index in range(sequence):
            if left == 0 or index == cut:
                modality, left = wheel[draw(len(wheel))], 1 + draw(9)
                segment += 1
            left -= 1
            position = 0 if index in (0, cut) and index < end else position + 1
            first, last = sizes["modalities"][modality]
            # A continuous token has no id, but a number that stands for one.
            has_id = modality not in sizes.get("continuous", {})
            place = first + draw(last - first) if has_id else -1 - names.index(modality)
            data["tokens"].append(place if has_id or index < end else 0)
            data["modality"].append(names.index(modality) if index < end else -1)
            data["positions"].append(position)
            data["documents"].append(int(index >= cut) if sizes["documents"] else 0)
            data["segments"].append(segment if modality in sizes["spans"] else 0)
        tokens = data["tokens"][-sequence:]
        documents = data["documents"][-sequence:]
        for index in range(sequence):
            learned = index + 1 < end and documents[index] == documents[index + 1]
            learned = learned and tokens[index + 1] >= 0
            drop = draw(1000) < 1000 * sizes["data"]["ignored"]
            data["targets"].append(tokens[index + 1] if learned and not drop else IGNORED)
    if sizes["attends"] or sizes["counts_per_span"]:
        derive(sizes, data)
    rows = {name: torch.tensor(values) for name, values in data.items()}
    rows["continuous"] = {
        name: continuous_tokens(sizes, rows, name, generator) for name in sizes.get("continuous", {})
    }
    return rows


def continuous_tokens(sizes, data, name, generator):
    """Returns the tokens of a continuous modality: where they stand, what they are, noise, and times by span."""
    index = list(sizes["modalities"]).index(name)
    rows = (data["modality"] == index).nonzero().flatten()
    spans, last = [], -1
    for row in rows.tolist():
        inside = row % sizes["sequence"] and data["modality"][row - 1] == index
        inside = inside and data["documents"][row - 1] == data["documents"][row]
        last += 0 if inside else 1
        spans.append(last)

    def draw(shape, make=torch.randn):
        return make(shape, generator=generator).double()

    shape = (len(rows), sizes["continuous"][name]["latents"])
    tokens = {"rows": rows, "latents": draw(shape), "noise": draw(shape)}
    tokens["timesteps"] = draw((last + 1,), torch.rand)
    tokens["time"] = tokens["timesteps"][torch.tensor(spans, dtype=torch.long)]
    return tokens


def derive(sizes, data):
    """Numbers the spans and counts the positions of `data` as the modalities say."""
    names = list(sizes["modalities"])
    position, segment, leading, last = -1, 0, False, None
    for index, (modality, document) in enumerate(zip(data["modality"], data["documents"])):
        name = names[modality]
        kind = sizes["attends"].get(name)
        where = (index // sizes["sequence"], document)
        is_first = last is None or last[0] != where
        goes_on = not is_first and last[1] == modality
        leading = kind == "prefix" and (is_first or leading)
        position = -1 if is_first else position
        position += 0 if goes_on and name in sizes["counts_per_span"] else 1
        segment += 0 if goes_on or (leading and not is_first) else 1
        data["positions"][index] = position
        data["segments"][index] = segment if kind and (kind != "prefix" or leading) else 0
        last = (where, modality)


def input_tensors(sizes, data):
    """Returns what motc is given: what it would derive by itself only where the case has its own."""
    names = ["tokens", "modality", "targets"]
    names += ["documents"] if sizes["documents"] else []
    names += ["positions"] if sizes["documents"] and not sizes["counts_per_span"] else []
    names += ["segments"] if sizes["spans"] else []
    shape = (sizes["batch"], sizes["sequence"])
    tensors = {name: data[name].to(torch.int32).view(shape) for name in names}
    for modality, tokens in data["continuous"].items():
        for name in ("latents", "noise", "timesteps"):
            tensors[f"{name}.{modality}"] = tokens[name].float().contiguous()
    return tensors


def run_motc(motc, spec, folder, arguments):
    """Returns the tensors that one `motc run` writes."""
    output = folder / "out.safetensors"
    command = [motc, "run", spec, "--weights", folder / "weights.safetensors"]
    command += ["--input", folder / "input.safetensors", "-o", output, *arguments]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(str(part) for part in command)}\n{done.stdout}{done.stderr}")
    return load_file(output)


def differences(expected, actual, floor):
    """Yields what is wrong with `actual`, and returns the largest relative error."""
    worst = 0.0
    for name in sorted(expected.keys() | actual.keys()):
        if name not in expected or name not in actual:
            yield f"{name} is only in {'PyTorch' if name in expected else 'motc'}"
            continue
        wanted, found = expected[name], actual[name].double()
        if wanted.shape != found.shape:
            yield f"{name} is {tuple(found.shape)}, and {tuple(wanted.shape)} in PyTorch"
            continue
        error = float((found - wanted).norm())
        if not float(wanted.norm()):
            if error != 0:
                yield f"{name} is to be zero, and has norm {error:.2e}"
            continue
        relative = error / max(float(wanted.norm()), floor)
        worst = max(worst, relative)
        if not relative <= TOLERANCE:
            yield f"{name} is off by {relative:.2e}, and at most {TOLERANCE:.0e} is allowed"
    return worst


def check(case, motc, seed):
    """Returns the number of differences between motc and PyTorch in `case`, which are printed."""
    sizes = DEFAULTS | json.loads((CASES / f"{case}.json").read_text())
    model, data = Model(sizes, seed), rows_of_data(sizes, seed)
    shape = (sizes["batch"], sizes["sequence"], -1)
    logits, said = model.logits(data, noisy=False)
    outputs = {"logits": logits.detach().view(shape)}
    for modality, values in said.items():
        rows = values.new_zeros(len(logits), values.shape[1])
        rows[data["continuous"][modality]["rows"]] = values.detach()
        outputs[f"prediction.{modality}"] = rows.view(shape)
    losses = model.losses(*model.logits(data, noisy=True), data)
    losses["loss"].backward()
    expected = {name: value.detach() for name, value in losses.items()}
    gradients = {
        f"grad.{name}": torch.zeros_like(value) if value.grad is None else value.grad
        for name, value in model.parameters.items()
    }
    # A gradient that is next to nothing beside the others is held to their size.
    floor = 1e-3 * max(float(value.norm()) for value in gradients.values())
    found = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        spec = spec_of(case, sizes, folder)
        weights = {k: v.detach().float().contiguous() for k, v in model.parameters.items()}
        save_file(weights, folder / "weights.safetensors")
        save_file(input_tensors(sizes, data), folder / "input.safetensors")
        for fuse in ("all", "none"):
            arguments = ["--fuse", fuse]
            actual = run_motc(motc, spec, folder, arguments + ["--outputs", ",".join(outputs)])
            found += report(case, fuse, outputs, actual, 0.0)
            actual = run_motc(motc, spec, folder, arguments + ["--grad"])
            found += report(case, fuse, expected | gradients, actual, floor)
    return found


def spec_of(case, sizes, folder):
    """Returns the path of a case's spec: its own, or an example at the size of a toy."""
    if not sizes["example"]:
        return CASES / f"{case}.swift-spec"
    text = (EXAMPLES / f"{sizes['example']}.swift-spec").read_text()
    assert "let isToy = false" in text
    spec = folder / f"{case}.swift-spec"
    spec.write_text(text.replace("let isToy = false", "let isToy = true"))
    return spec


def report(case, fuse, expected, actual, floor):
    """Prints how `actual` compares, and returns the number of differences."""
    problems, steps = [], differences(expected, actual, floor)
    while True:
        try:
            problems.append(next(steps))
        except StopIteration as end:
            worst = end.value
            break
    what = ", ".join(expected) if "logits" in expected else f"losses and gradients, {len(expected)} tensors"
    print(f"oracle: {case}, --fuse {fuse}, {what}: largest relative error {worst:.1e}")
    for problem in problems:
        print(f"oracle:   {problem}")
    return len(problems)


def main():
    """Runs the cases that are named, or all."""
    parser = argparse.ArgumentParser(description="Compares motc with PyTorch.")
    parser.add_argument("--motc", required=True, help="the motc program")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("cases", nargs="*")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cases = arguments.cases or sorted(path.stem for path in CASES.glob("*.json"))
    found = sum(check(case, arguments.motc, arguments.seed) for case in cases)
    print(f"oracle: {len(cases)} models, seed {arguments.seed}, {found} differences from PyTorch")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
