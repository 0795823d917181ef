-- The tutorial's job on the servers of tests/stack. Two things are pinned: UTC, in which window_start is written, and the moment
-- at which a watermark passes (after every record, not five times a second), on which it depends what is late.
SET 'table.local-time-zone' = 'UTC';
SET 'parallelism.default' = '1';
SET 'pipeline.name' = '{name}';

CREATE TABLE sales (
  store_id STRING,
  sale_amount INT,
  sale_ts TIMESTAMP(3),
  WATERMARK FOR sale_ts AS sale_ts - INTERVAL '5' SECOND
) WITH (
  'connector' = 'kafka',
  'topic' = '{source}',
  'properties.bootstrap.servers' = '{kafka}',
  'properties.group.id' = '{group}',
  'scan.startup.mode' = '{startup}',
  'scan.watermark.emit.strategy' = 'on-event',
  'format' = 'avro-confluent',
  'avro-confluent.url' = '{registry}'
);

CREATE TABLE sums (
  store_id STRING,
  window_start TIMESTAMP(3),
  window_end TIMESTAMP(3),
  aggregated_sales INT,
  PRIMARY KEY ({key}) NOT ENFORCED
) WITH (
  'connector' = 'upsert-kafka',
  'topic' = '{sink}',
  'properties.bootstrap.servers' = '{kafka}',
  'key.format' = 'avro-confluent',
  'key.avro-confluent.url' = '{registry}',
  'value.format' = 'avro-confluent',
  'value.avro-confluent.url' = '{registry}'
);

INSERT INTO sums
SELECT store_id, window_start, window_end, SUM(sale_amount)
FROM TABLE(TUMBLE(TABLE sales, DESCRIPTOR(sale_ts), INTERVAL '1' MINUTE))
WHERE {condition}
GROUP BY store_id, window_start, window_end;
