"""Parts of scripts/train_smoke_vlm.py: the data, the model's folder, the lessons, the exam."""
