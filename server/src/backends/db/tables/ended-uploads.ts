/**
 * Key: (made_in, id). Upload sessions that ended soon after their names were given out, so that they do not begin anew; rows
 * go when the names could not be used for that any more. Written without sync.
 */
export interface EndedUploadsTable {
  /** When the name was given out, in minutes since the epoch. */
  made_in: number
  /** The session's name in URLs. */
  id: string
}
