"""finetrack: experiment-tracked fine-tuning of Ultralytics YOLO.

The flow: `compose` (conf/ -> params.yaml), then the stages `prepare`, `augment`, `finetune`, `evaluate`,
which meet through files alone. Imports point one way:

    __main__ | sweep -> compose -> stages -> edges -> config -> core
"""
