-- How large is each variant, and how much memory does it take at most?
SELECT model, variant, max(size_bytes) / 1e6 AS size_mb, max(value) / 1e6 AS memory_mb
FROM v_latest
WHERE metric = 'rss_bytes_max' AND kind = 'measure'
GROUP BY model, variant
ORDER BY model, size_mb;
