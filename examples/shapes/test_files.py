"""Tests of PNG files and of the two programs: python3 -m unittest discover examples/shapes"""

import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
import wave
import zlib

import draw
import png
from corpus import Refusal, read_captions, write_captions
from scene import parsed

HERE = os.path.dirname(os.path.abspath(__file__))


def encoded(kind, width, rows, filters=(0,), extra=(), depth=8, interlace=0):
    """Returns a PNG file of rows of bytes, to which filters are applied in turn."""
    step, above, data = png.CHANNELS[kind], bytes(len(rows[0])), b""
    for y, row in enumerate(rows):
        method = filters[y % len(filters)]
        left, corner = bytes(step) + row, bytes(step) + above
        guesses = {
            0: bytes(len(row)),
            1: left,
            2: above,
            3: [(a + b) // 2 for a, b in zip(left, above)],
            4: [png.nearest_neighbour(*three) for three in zip(left, above, corner)],
        }[method]
        data += bytes([method]) + bytes((v - guess) & 255 for v, guess in zip(row, guesses))
        above = row
    header = struct.pack(">IIBBBBB", width, len(rows), depth, kind, 0, 0, interlace)
    parts = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return png.SIGNATURE + b"".join(png.chunk(*part) for part in parts)


def pixels(picture):
    return [[picture.pixel(x, y) for x in range(picture.width)] for y in range(picture.height)]


class Pictures(unittest.TestCase):
    def random_rows(self, kind, width=7, height=10, most=256):
        chance = random.Random(kind)
        length = png.CHANNELS[kind] * width
        return [bytes(chance.randrange(most) for _ in range(length)) for _ in range(height)]

    def test_filters(self):
        for kind in png.RGB, png.RGB_ALPHA, png.GREY, png.GREY_ALPHA:
            rows = self.random_rows(kind)
            plain = pixels(png.read(encoded(kind, 7, rows)))
            for filters in (1,), (2,), (3,), (4,), (0, 1, 2, 3, 4), (4, 3, 2, 1, 0):
                self.assertEqual(pixels(png.read(encoded(kind, 7, rows, filters))), plain)

    def test_colours(self):
        colours = (b"PLTE", bytes([1, 2, 3, 4, 5, 6])), (b"tRNS", bytes([0]))
        for kind, row, extra, expected in (
            (png.RGB, [1, 2, 3, 4, 5, 6], (), [(1, 2, 3), (4, 5, 6)]),
            (png.RGB_ALPHA, [1, 2, 3, 255, 4, 5, 6, 0], (), [(1, 2, 3), (255, 255, 255)]),
            (png.GREY, [7, 8], (), [(7, 7, 7), (8, 8, 8)]),
            (png.GREY_ALPHA, [7, 255, 0, 51], (), [(7, 7, 7), (204, 204, 204)]),
            (png.PALETTE, [1, 0], colours[:1], [(4, 5, 6), (1, 2, 3)]),
            (png.PALETTE, [1, 0], colours, [(4, 5, 6), (255, 255, 255)]),
        ):
            picture = png.read(encoded(kind, 2, [bytes(row)], extra=extra))
            self.assertEqual(pixels(picture), [expected])

    def test_written_is_read(self):
        rows = self.random_rows(png.RGB)
        self.assertEqual(png.read(png.written(rows)).rows, rows)

    def test_refusals(self):
        rows = self.random_rows(png.RGB)
        sound = encoded(png.RGB, 7, rows)
        for data in (
            *(b"", b"GIF89a", png.SIGNATURE, sound[:-1], sound[:40]),
            sound[:20] + b"?" + sound[21:],
            *(encoded(png.RGB, 7, rows, depth=16), encoded(png.RGB, 7, rows, interlace=1)),
            *(encoded(png.RGB, 6, rows), encoded(png.RGB, 8, rows), encoded(png.RGB, 5000, rows)),
            encoded(png.PALETTE, 1, [b"\1"], extra=[(b"PLTE", b"abc")]),
            png.SIGNATURE + png.chunk(b"IEND", b""),
            sound.replace(png.parts(sound)[b"IDAT"], bytes(len(png.parts(sound)[b"IDAT"]))),
        ):
            self.assertRaises(Refusal, png.read, data)

    def test_damage_is_refused_or_read(self):
        chance = random.Random(1)
        sound = encoded(png.RGB, 7, self.random_rows(png.RGB), (0, 1, 2, 3, 4))
        for _ in range(500):
            parts = {kind: bytearray(data) for kind, data in png.parts(sound).items()}
            for data in chance.choice(list(parts.values())), parts[b"IDAT"]:
                if data and chance.random() < 0.7:
                    data[chance.randrange(len(data))] = chance.randrange(256)
            try:
                chunks = b"".join(png.chunk(*part) for part in parts.items())
                pixels(png.read(png.SIGNATURE + chunks))
            except Refusal:
                pass


class Programs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def run_program(self, name, *arguments, **options):
        command = [sys.executable, os.path.join(HERE, name), *arguments]
        return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", **options)

    def test_end_where_signals_are_blocked(self):
        def block():
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

        for number in range(4):
            folder = self.path(str(number))
            for name, *arguments in (("draw.py", folder, "--count", "12"), ("check.py", folder)):
                done = self.run_program(name, *arguments, preexec_fn=block, timeout=60)
                self.assertEqual((done.returncode, done.stderr), (0, ""))

    def draw(self, *arguments):
        """Draws a corpus, and returns its folder."""
        done = self.run_program("draw.py", self.path("drawn"), *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return self.path("drawn")

    def score(self, *arguments):
        done = self.run_program("check.py", *arguments, "--json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(done.stdout)

    def assert_refused(self, done, *words):
        """Checks that a program said in one line what is wrong, and exited with 2."""
        self.assertEqual((done.returncode, done.stderr.count("\n")), (2, 1), done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def test_same_bytes(self):
        made = []
        for name, count, processes in ("one", 40, 1), ("two", 40, 2), ("more", 50, None):
            draw.make(self.path(name), count, 0, 3, 32, processes)
            files = sorted(os.listdir(self.path(name, "pictures")))[:40]
            pictures = [open(self.path(name, "pictures", file), "rb") for file in files]
            made.append([file.read() for file in pictures])
            for file in pictures:
                file.close()
            made[-1].append(read_captions(self.path(name, "captions.txt"))[:40])
        self.assertEqual(made[0], made[1])
        self.assertEqual(made[0], made[2])

    def test_pictures(self):
        folder = self.draw("--count", "20", "--side", "40")
        right = {"pictures": 20, "background": 1, "count": 1, "colours": 1, "shapes": 1, "all": 1}
        self.assertEqual(self.score(folder), right)
        done = self.run_program("check.py", folder)
        self.assertEqual(done.stdout.split("\n")[-2].split(), ["all", "1.000"])
        self.assert_refused(self.run_program("draw.py", folder), folder)

    def test_captions(self):
        truth = [("1.wav", "a red circle on white"), ("2.wav", "two blue squares on black")]
        write_captions(self.path("truth.txt"), truth)
        answers = [("1.wav", "a red circle on black"), ("2.wav", "# tr\0\tash\x85on\u2028white\r")]
        write_captions(self.path("captions.txt"), answers)
        scores = self.score(self.folder, "--truth", self.path("truth.txt"))
        half = {"count": 0.5, "colours": 0.5, "shapes": 0.5}
        self.assertEqual(scores, {"pictures": 2, "background": 0, **half, "all": 0})
        self.assert_refused(self.run_program("check.py", self.folder), "--truth")
        write_captions(self.path("truth.txt"), truth[:1])
        done = self.run_program("check.py", self.folder, "--truth", self.path("truth.txt"))
        self.assert_refused(done, "2.wav")

    def test_bad_folders(self):
        self.assert_refused(self.run_program("check.py", self.path("none")), "none")
        with open(self.path("garbage.png"), "wb") as file:
            file.write(b"\x89PNG garbage")
        for name in "garbage.png", "missing.png", "../outside.png", "/etc/passwd", "\0":
            write_captions(self.path("captions.txt"), [(name, "a red circle on white")])
            self.assert_refused(self.run_program("check.py", self.folder), name.strip("\0"))
        for text in "", "# nothing\n", "a line without a tab\n":
            with open(self.path("captions.txt"), "w") as file:
                file.write(text)
            self.assert_refused(self.run_program("check.py", self.folder), "captions.txt")

    def test_bad_numbers(self):
        for arguments in ("--count", "-1"), ("--count", "many"), ("--side", "1"), ("--count", "0"):
            done = self.run_program("draw.py", self.path("new"), *arguments)
            self.assertEqual(done.returncode, 2)
            self.assertIn("usage", done.stderr)
        self.assertFalse(os.path.exists(self.path("new")))

    def test_speech_needs_espeak(self):
        with unittest.mock.patch.object(shutil, "which", return_value=None):
            with self.assertRaisesRegex(Refusal, "apt-get install espeak-ng"):
                draw.make(self.path("new"), 0, 1, 1, 32)
        self.assertFalse(os.path.exists(self.path("new")))

    @unittest.skipUnless(shutil.which("espeak-ng"), "espeak-ng is not installed")
    def test_speech(self):
        folder = self.draw("--count", "1", "--spoken", "4")
        pairs = read_captions(os.path.join(folder, "captions.txt"))
        self.assertEqual([name[:6] for name, _ in pairs], ["pictur"] + ["speech"] * 4)
        self.assertEqual(pairs[0][1], pairs[1][1])
        for name, words in pairs[1:]:
            self.assertIsNotNone(parsed(words))
            with wave.open(os.path.join(folder, name)) as speech:
                self.assertEqual((speech.getnchannels(), speech.getsampwidth()), (1, 2))
                self.assertGreater(speech.getnframes(), speech.getframerate() / 2)
        self.assertEqual(self.score(folder)["pictures"], 1)
        truth = os.path.join(folder, "captions.txt")
        self.assertEqual(self.score(folder, "--truth", truth)["pictures"], 5)


if __name__ == "__main__":
    unittest.main()
