
// --- server ---
/** A configuration file larger than this is not one. */
export const configBytesMax = 1_048_576;
/** An operators' API request body. */
export const httpBodyBytesMax = 1_048_576;
