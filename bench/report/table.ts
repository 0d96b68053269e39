/** Lines of a table: the first column aligned left, the others right, with two spaces between them. */
export function tableLines(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  }
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd(),
  );
}

/** A whole number with thousands separators, like "123,456". */
export function whole(number: number): string {
  return Math.round(number).toLocaleString('en-US');
}

/** Three significant digits, like "0.183", "1.42", "18.3", "183". */
export function fine(number: number): string {
  const decimals = number >= 99.5 ? 0 : number >= 9.95 ? 1 : number >= 0.995 ? 2 : 3;
  return number.toFixed(decimals);
}

/** Millions of bytes. */
export function megabytes(bytes: number): string {
  return fine(bytes / 1e6);
}

/** Stands for a value that this machine or system does not have. */
export const NONE = '-';
