import assert from 'node:assert/strict';

/** The page at an address, and each of its series: `name{labels}` with its value. */
export async function scraped(
  url: string,
  headers: Record<string, string> = {},
): Promise<{ text: string; series: Map<string, number> }> {
  const response = await fetch(`${url}/metrics`, { headers });
  const text = await response.text();
  assert.equal(response.status, 200, text);
  return { text, series: seriesOf(text) };
}

export function seriesOf(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(' ');
      return [line.slice(0, space), Number(line.slice(space + 1).replace('Inf', 'Infinity'))];
    }),
  );
}
