"""pixtrack: a workflow-orchestrated experiment tracker for vision-language models."""
