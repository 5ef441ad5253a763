"""Commands that use a model: predict, pseudo-label, zero-shot, export, serve. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipeline.commands.command_line.arguments import Command

MODEL_COMMANDS: Final[Mapping[str, Command]] = {
    "predict": Command(
        "predict on images and videos: pictures, COCO JSON, YOLO text, CSV",
        "A source is a folder (with its subfolders), an image, a video, or a zip or tar of them. The model\n"
        "is the champion, or models/finetuned if there is none; the threshold is the one chosen on val.\n"
        "After a kill, the same command goes on where it ended. Files that cannot be read are listed at the\n"
        "end, and the exit code is 1 then.",
        "finetrack predict ~/photos\nfinetrack predict video.mp4 --model 3f2a91c0 --output found\n"
        "finetrack predict aerial/ --tile 640 --overlap 0.2 --formats coco,csv",
        (
            (
                "source",
                {"nargs": "+", "metavar": "SOURCE", "help": "a folder, an image, a video, an archive"},
            ),
            ("--model", {"metavar": "NAME", "help": "as in compare: champion, a run, workspace, a file"}),
            ("--output", {"metavar": "DIR", "help": "predictions/NAME of the source by default"}),
            (
                "--formats",
                {
                    "default": "pictures,coco,yolo,csv",
                    "metavar": "LIST",
                    "help": "any of pictures, coco, yolo and csv, with commas; all by default",
                },
            ),
            ("--conf", {"type": float, "help": "the lowest score that counts; classifiers have none"}),
            ("--iou", {"type": float, "help": "of the non-maximum suppression"}),
            ("--max-det", {"type": int, "metavar": "N", "help": "detections per image at most"}),
            ("--imgsz", {"type": int, "metavar": "PIXELS", "help": "the network's input"}),
            (
                "--tile",
                {
                    "type": int,
                    "metavar": "PIXELS",
                    "help": "predict on overlapping tiles of larger images; 0: on whole images; as in "
                    "evaluate.tile by default",
                },
            ),
            (
                "--overlap",
                {
                    "type": float,
                    "metavar": "SHARE",
                    "help": "of two tiles, 0.2 by default: as large as objects",
                },
            ),
            ("--batch", {"type": int, "metavar": "N", "help": "images at a time"}),
            ("--device", {"help": "cpu, or the number of a GPU"}),
            ("--threads", {"type": int, "metavar": "N", "help": "CPU threads of the model"}),
        ),
    ),
    "pseudo-label": Command(
        "label unlabelled images by a model, as further train images",
        "The model must be one of the present data/prepared. Its val predictions decide from which score on\n"
        "a detection of a class becomes a label. A class that is not right often enough gets none, and an\n"
        "image in which too many objects may have no label is left out. A model that is not good enough on\n"
        "val is refused. Writes images/, labels/, data.yaml and pseudo.json; data.unlabelled_source adds\n"
        "the folder to train, never to val or test.",
        "finetrack pseudo-label ~/unlabelled --model champion\n"
        "finetrack pseudo-label ~/unlabelled --model 3f2a91c0 --precision 0.95 --output ~/labelled_by_model",
        (
            ("source", {"nargs": "+", "metavar": "SOURCE", "help": "a folder, an image, an archive"}),
            (
                "--model",
                {"required": True, "metavar": "NAME", "help": "as in compare: champion, a run, workspace"},
            ),
            ("--output", {"metavar": "DIR", "help": "pseudo_labels/NAME of the source by default"}),
            (
                "--precision",
                {
                    "type": float,
                    "default": 0.9,
                    "metavar": "SHARE",
                    "help": "of the labels of a class that must be right on val (0.9)",
                },
            ),
            (
                "--recall",
                {
                    "type": float,
                    "default": 0.8,
                    "metavar": "SHARE",
                    "help": "of the objects in labelled val images that must have a label (0.8)",
                },
            ),
            (
                "--least",
                {
                    "type": int,
                    "default": 20,
                    "metavar": "N",
                    "help": "detections of a class on val that a threshold needs (20)",
                },
            ),
            ("--device", {"help": "cpu, or the number of a GPU"}),
            ("--threads", {"type": int, "metavar": "N", "help": "CPU threads of the model"}),
        ),
    ),
    "zero-shot": Command(
        "find the classes of data/prepared by words, without training: weights for every command",
        "Asks a checkpoint of YOLOE for the classes by their names, or by the words of zero_shot.prompts,\n"
        "and writes an ordinary checkpoint that finds them: boxes, and masks where the data has some. The\n"
        "words become numbers by MobileCLIP's text encoder (zero_shot.text_encoder) and the package clip.\n"
        "`finetrack compare zero-shot workspace` scores it beside a training without a file.",
        "finetrack zero-shot yoloe-11s-seg.pt\n"
        "finetrack zero-shot --words 'RBC=red blood cell' 'WBC=white blood cell' --output asked.pt",
        (
            (
                "weights",
                {"nargs": "?", "metavar": "FILE", "help": "a checkpoint of YOLOE; else zero_shot.weights"},
            ),
            (
                "--words",
                {"nargs": "+", "metavar": "CLASS=WORDS", "help": "what to ask for instead of the name"},
            ),
            ("--output", {"metavar": "FILE", "help": "models/zero-shot.pt of the project by default"}),
        ),
    ),
    "export": Command(
        "export a model to ONNX, OpenVINO, TorchScript ..., and measure the exported file",
        "The exported file predicts on the test images of data/prepared, beside the checkpoint: main metric\n"
        "with paired difference, boxes that are the same, size, time per image. One that falls by more than\n"
        "export.tolerance is refused. Lists with commas export every combination. The figures are logged to\n"
        "the run, and the files that are kept.",
        "finetrack export champion --format onnx\n"
        "finetrack export 3f2a91c0 --format onnx,openvino --precision fp32,int8\n"
        "finetrack export models/finetuned/best.pt --format onnx --nms outside,graph,free",
        (
            ("run", {"metavar": "RUN", "help": "as in compare: champion, a run, workspace, a file (.pt)"}),
            ("--format", {"required": True, "metavar": "NAME", "help": "onnx, openvino, torchscript ..."}),
            ("--precision", {"default": "fp32", "metavar": "NAME", "help": "fp32, fp16 or int8"}),
            (
                "--nms",
                {
                    "default": "outside",
                    "metavar": "NAME",
                    "help": "outside the file, in its graph, or free: the NMS-free head of YOLO26",
                },
            ),
            ("--output", {"default": "models/exported", "metavar": "DIR", "help": "default models/exported"}),
            ("--dynamic", {"action": "store_true", "help": "take images of any size and number"}),
            ("--device", {"metavar": "NAME", "help": "cpu, or the number of a GPU"}),
            (
                "--unmeasured",
                {"action": "store_true", "help": "keep a file that cannot run on this machine, unmeasured"},
            ),
        ),
    ),
    "serve": Command(
        "answer HTTP requests with a model's predictions; a page at / shows them",
        "POST /predict takes image files (as they are, or a form) and JSON with base64; GET /health,\n"
        "/metrics. Follows the alias: when champion moves, the new model answers, and no request is lost.\n"
        "Threshold and imgsz are those chosen on val, unless set here. Ctrl-C or SIGTERM: requests that run\n"
        "are answered. It listens on this machine only, unless --host says otherwise. It is one process\n"
        "without TLS and password: a reverse proxy adds both, and shares requests among several of them.",
        "finetrack serve\nfinetrack serve --model 3f2a91c0 --port 8080\n"
        "curl -H 'Content-Type: image/jpeg' --data-binary @part.jpg http://127.0.0.1:8000/predict\n"
        "curl -F images=@a.jpg -F images=@b.jpg http://127.0.0.1:8000/predict",
        (
            (
                "--model",
                {
                    "default": "champion",
                    "metavar": "NAME",
                    "help": "as in compare: champion, a run, workspace, a file",
                },
            ),
            (
                "--host",
                {"default": "127.0.0.1", "help": "where to listen; 0.0.0.0: on all networks (no password!)"},
            ),
            ("--port", {"type": int, "default": 8000, "help": "0: any free one"}),
            (
                "--allow-host",
                {
                    "action": "append",
                    "default": [],
                    "metavar": "NAME",
                    "help": "a further name of this server in the Host header; may be repeated",
                },
            ),
            ("--conf", {"type": float, "help": "the lowest score that is answered"}),
            ("--iou", {"type": float, "help": "of the non-maximum suppression"}),
            ("--max-det", {"type": int, "metavar": "N", "help": "detections per image at most"}),
            ("--imgsz", {"type": int, "metavar": "PIXELS", "help": "the network's input"}),
            (
                "--tile",
                {"type": int, "metavar": "PIXELS", "help": "predict on large images in tiles; 0: in none"},
            ),
            ("--overlap", {"type": float, "metavar": "SHARE", "help": "of two tiles side by side (0.2)"}),
            ("--device", {"help": "cpu, or the number of a GPU"}),
            (
                "--threads",
                {"type": int, "metavar": "N", "help": "CPU threads of the model; free cores by default"},
            ),
            (
                "--batch",
                {"type": int, "default": 8, "metavar": "N", "help": "images of one shape at once (8)"},
            ),
            (
                "--poll",
                {
                    "type": float,
                    "default": 5.0,
                    "metavar": "S",
                    "help": "seconds between looks at the alias; 0: none",
                },
            ),
            ("--max-mb", {"type": float, "default": 32.0, "metavar": "MB", "help": "of a request (32)"}),
            (
                "--max-megapixels",
                {
                    "type": float,
                    "default": 50.0,
                    "metavar": "MP",
                    "help": "of an image, before it is decoded (50)",
                },
            ),
            ("--max-images", {"type": int, "default": 16, "metavar": "N", "help": "in one request (16)"}),
        ),
    ),
}
