"""What the project costs, measured beside what it is compared with: `make bench` (docs/performance.md)."""
