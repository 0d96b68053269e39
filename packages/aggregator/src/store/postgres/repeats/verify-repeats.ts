import type { ClientBase } from 'pg';
import { historyProblems } from './histories.ts';

const COUNTS = `
  SELECT repeats.conflicts AS numbered,
    (SELECT coalesce(sum(duplicates), 0) FROM repeat_age) AS duplicates,
    (SELECT coalesce(sum(conflicts), 0) FROM repeat_age) AS conflicts,
    (SELECT coalesce(sum(cardinality(firsts)), 0) FROM repeat) AS noted,
    (SELECT count(*) FROM repeat, unnest(repeat.conflicts) AS is_conflict WHERE is_conflict) AS noted_conflicts,
    (SELECT coalesce(max(number), 0) FROM conflict) AS last_number
  FROM repeats`;

/** Notes of no commit, and conflicts of events that are not there. */
const STRAYS = `
  SELECT 'repeat: append ' || append_id || ' is not in the log' AS problem
  FROM repeat LEFT JOIN log USING (append_id) WHERE log.append_id IS NULL
  UNION ALL
  SELECT 'conflict ' || number || ': there is no event at offset ' || first_offset FROM conflict, head
  WHERE first_offset < 1 OR first_offset > last_offset
  LIMIT 1000`;

/** What is wrong with what is remembered of repeats, as of the transaction. */
export async function repeatProblems(
  client: ClientBase,
  books: { readonly duplicates: number; readonly conflicts: number; readonly lastOffset: number },
): Promise<string[]> {
  const { rows } = await client.query<Record<string, string>>(COUNTS);
  const [row] = rows;
  if (row === undefined) return ['repeats: the table has no row'];
  const count = (name: string): number => Number(row[name]);
  const problems: string[] = [];
  const duplicates = count('duplicates') + count('noted');
  const conflicts = count('conflicts') + count('noted_conflicts');
  if (duplicates > books.duplicates)
    problems.push(`repeats: ${duplicates} are counted, but the books have ${books.duplicates} duplicates`);
  if (conflicts > books.conflicts)
    problems.push(`repeats: ${conflicts} conflicts are counted, but the books have ${books.conflicts}`);
  if (count('numbered') !== count('conflicts') || count('last_number') > count('numbered')) {
    problems.push(
      `repeats: ${count('numbered')} conflicts are numbered, ${count('conflicts')} counted, the last one is ${count('last_number')}`,
    );
  }
  const strays = await client.query<{ problem: string }>(STRAYS);
  problems.push(...strays.rows.map(({ problem }) => problem));
  for await (const problem of historyProblems(client, books.lastOffset)) problems.push(problem);
  return problems;
}
