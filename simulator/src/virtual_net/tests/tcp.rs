//! Shops whose network lets no UDP through.

use super::*;

#[test]
fn a_shop_without_udp_trains_over_tcp_beside_others_and_says_so() {
    let (said, others, status) = virtually(async {
        let net = Net::new(5, START);
        let federation = Federation::new(&net, &setting(3, 3)).unwrap();
        for shop in &federation.shops {
            shop.host.set_conditions(LINE);
        }
        federation.shops[1].host.have_tcp_only();
        let mut serving = federation.serve();
        let mut running: Vec<_> = federation.shops.iter().map(|shop| federation.run(shop)).collect();
        let ended = tokio::time::timeout(LONGEST, serving.wait()).await;
        ended.expect("in time").unwrap();
        for shop in &mut running {
            shop.stop().await.unwrap();
        }
        let said = |at: usize| lines(&running[at], "connected over TCP").len();
        (said(1), said(0) + said(2), lines(&serving, "published").len())
    })
    .unwrap();
    assert_eq!((said, others, status), (1, 0, 3));
}
