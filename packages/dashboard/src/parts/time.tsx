/** A time of the service in the reader's zone; UTC, with all its digits, on hover. What is no time is shown as it is. */
export function Time({ iso }: { iso: string }) {
  const ms = Date.parse(iso);
  if (iso === '' || Number.isNaN(ms)) return <span>{iso || '–'}</span>;
  return (
    <time dateTime={iso} title={`${iso} (as sent; UTC ${new Date(ms).toISOString()})`}>
      {FORMAT.format(ms)}
    </time>
  );
}

const FORMAT = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
