/** Of a row that nothing was measured of yet. */
export const ROW_PIXELS = 30;
