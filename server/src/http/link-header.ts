/** The `Link` header of paged lists (RFC 8288). */

/**
 * Points to the next page. path: percent-encoded already. Every pair is written, also an empty one: az splits each at
 * its `=` and fails without; ACR sends `orderby=` too.
 */
export function nextLink(path: string, parameters: Readonly<Record<string, string | number>>): string {
  const query = Object.entries(parameters)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join('&')
  return `<${path}?${query}>; rel="next"`
}
