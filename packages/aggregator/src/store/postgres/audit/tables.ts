/** The table of the audit trail (store/audit/audit-records.ts). Rows are found by their time, and deleted from the oldest on. */
export const AUDIT_TABLES = `
  CREATE TABLE audit (
    record  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_ms   bigint NOT NULL,
    -- Its place in AUDIT_ACTIONS (store/audit-store.ts).
    action  int    NOT NULL,
    -- The key or the group.
    who     text,
    entries bigint NOT NULL,
    -- The end of the log before the commit; 0 where the body has whole offsets.
    base    bigint NOT NULL,
    -- JSON.
    body    text   NOT NULL
  ) WITH (autovacuum_vacuum_scale_factor = 0.05);
  CREATE INDEX audit_by_time ON audit (at_ms, record);
`;
