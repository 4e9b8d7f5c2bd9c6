"""What AutoStop does, one module a job. Needs ports and the domain only; `bootstrap` hands in the adapters."""
