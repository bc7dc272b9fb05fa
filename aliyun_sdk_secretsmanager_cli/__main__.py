"""``python -m aliyun_sdk_secretsmanager_cli``: the command ``managed-credentials`` without its script."""

from . import main

if __name__ == "__main__":
    main()
