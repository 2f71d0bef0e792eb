//! Divisions of an input into pieces.

/// Three divisions of `bytes`: into single bytes, and at places that a hash of them chooses.
pub fn divisions(bytes: &[u8]) -> [Vec<&[u8]>; 3] {
    let mut state = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut pieces = |longest: usize| {
        let (mut pieces, mut rest) = (Vec::new(), bytes);
        while !rest.is_empty() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let length = (state >> 33) as usize % (longest + 1);
            let (piece, behind) = rest.split_at(length.min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        pieces
    };
    let few = pieces(bytes.len());
    let many = pieces(12);
    [bytes.chunks(1).collect(), few, many]
}
