"""The pipeline: one folder is one stage of ``dvc.yaml``; the modules beside them are what the stages share.

Read ``dvc.yaml`` first, then ``records.py`` (what passes between stages), then any ``*/stage.py``.
"""
