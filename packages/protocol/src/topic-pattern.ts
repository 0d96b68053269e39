import { LIMITS } from './limits.ts';

/**
 * Topic patterns, as in NATS: a topic is words separated by dots. In a pattern the word `*` matches any one word, and
 * `>` as the last word matches one or more remaining words. Any other word is literal: `orders*` is the topic of that
 * name. A word may be empty, so `>` alone matches every topic.
 */
export function topicPatternFault(text: string): string | undefined {
  if (text === '') return 'must not be empty';
  // A character is one or two UTF-16 code units.
  if (text.length > LIMITS.topicCharsMax && Array.from(text).length > LIMITS.topicCharsMax) {
    return `must not have more than ${LIMITS.topicCharsMax} characters`;
  }
  if (text.includes('\0')) return 'must not contain NUL: no topic does';
  if (!text.isWellFormed()) return 'must not contain half a surrogate pair: no topic does';
  const words = text.split('.');
  const rest = words.indexOf('>');
  if (rest !== -1 && rest !== words.length - 1)
    return '`>` matches all remaining words, so it must be the last word';
  return undefined;
}

/** Whether the pattern can match topics other than the one it spells. */
export function hasWildcard(pattern: string): boolean {
  const words = pattern.split('.');
  return words.includes('*') || words.at(-1) === '>';
}

/**
 * Compiles a test of whether a topic matches at least one of the patterns; without patterns none does. The patterns
 * must be valid.
 */
export function compileTopicPatterns(patterns: readonly string[]): (topic: string) => boolean {
  const literal = new Set<string>();
  const wild: string[][] = [];
  for (const pattern of patterns) {
    if (hasWildcard(pattern)) wild.push(pattern.split('.'));
    else literal.add(pattern);
  }
  if (wild.length === 0) return (topic) => literal.has(topic);
  return (topic) => {
    if (literal.has(topic)) return true;
    const words = topic.split('.');
    return wild.some((pattern) => takes(pattern, words));
  };
}

/** Whether `wide` matches every topic that `narrow` matches. Both must be valid. */
export function topicPatternCovers(wide: string, narrow: string): boolean {
  const wideWords = wide.split('.');
  const words = narrow.split('.');
  const isOpen = wideWords.at(-1) === '>';
  const fixed = isOpen ? wideWords.length - 1 : wideWords.length;
  if (isOpen ? words.length <= fixed : words.length !== fixed) return false;
  return wideWords
    .slice(0, fixed)
    .every((word, i) => (word === '*' ? words[i] !== '>' || i < words.length - 1 : word === words[i]));
}

/** Whether some topic matches both patterns, which must be valid. */
export function topicPatternsOverlap(one: string, other: string): boolean {
  const a = one.split('.');
  const b = other.split('.');
  for (let i = 0; i < a.length && i < b.length; i++) {
    const [left, right] = [a[i]!, b[i]!];
    // A last `>` takes all that the other one has left, and that is at least this word.
    if ((left === '>' && i === a.length - 1) || (right === '>' && i === b.length - 1)) return true;
    if (left !== '*' && right !== '*' && left !== right) return false;
  }
  return a.length === b.length;
}

/** No word of a pattern can match in two ways, so a single pass decides, without backtracking. */
function takes(pattern: readonly string[], words: readonly string[]): boolean {
  const isOpen = pattern.at(-1) === '>';
  const fixed = isOpen ? pattern.length - 1 : pattern.length;
  if (isOpen ? words.length <= fixed : words.length !== fixed) return false;
  for (let i = 0; i < fixed; i++) if (pattern[i] !== '*' && pattern[i] !== words[i]) return false;
  return true;
}
