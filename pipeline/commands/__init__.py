"""Commands that people type beside the stages."""
