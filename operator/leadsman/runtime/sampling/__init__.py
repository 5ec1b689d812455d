"""Sampling by source: few shared queries, evidence in memory, polls right after the scrapes."""
