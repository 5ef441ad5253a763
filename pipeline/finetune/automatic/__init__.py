"""Values of conf/finetune that the data decide: imgsz, epochs and lr0 may be auto."""
