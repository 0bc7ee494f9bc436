/** Text and data as parts of an HTML page. */

const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** For text between tags, and for attributes in quotation marks. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] as string);
}

/**
 * For a script element: JSON without the character that could end the element or begin a comment in it. It parses to
 * the same.
 */
export function embedJson(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c');
}

/** A program for a script element, where nothing can be escaped. Throws where it would end the element. */
export function embedScript(source: string): string {
  if (/<\/script|<!--/i.test(source))
    throw new Error('a script that is to be part of a page would end its element');
  return source;
}

/** The same for a style element. */
export function embedStyle(source: string): string {
  if (/<\/style/i.test(source)) throw new Error('a style that is to be part of a page would end its element');
  return source;
}
